"""Everything that the doctor looks at, beginning with what the rest depends on."""

from collections.abc import Callable, Iterator

from nnunet_mamba.doctor.findings import Finding


def examine(on_start: Callable[[str], None] = lambda area: None) -> Iterator[tuple[str, Finding]]:
    """Yield areas and what was found there.

    Args:
        on_start: called with the area that is looked at next. The scan takes longest, because it compiles.
    """
    from nnunet_mamba.doctor.software import has_files_alone, software, software_for_files, torch_failure

    on_start("software")
    if has_files_alone():
        yield from (("software", finding) for finding in software_for_files())
        return
    yield from (("software", finding) for finding in software())
    on_start("torch")
    failure = torch_failure()
    if failure is not None:
        yield "software", failure
    else:
        # Only here, because these import torch.
        from nnunet_mamba.doctor.hardware import hardware
        from nnunet_mamba.doctor.scan import scan

        on_start("machine")
        yield from (("machine", finding) for finding in hardware())
        on_start("selective scan")
        yield from (("selective scan", finding) for finding in scan())

    from nnunet_mamba.doctor.nnunet import checkpoints, commands, folders, trainers

    on_start("nnU-Net")
    yield from (("nnU-Net", finding) for finding in folders())
    yield "nnU-Net", commands()
    yield from (("nnU-Net", finding) for finding in trainers())
    yield "nnU-Net", checkpoints()
