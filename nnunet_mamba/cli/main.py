"""The ``nnunet-mamba`` command; every command imports what is heavy when it runs."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from nnunet_mamba import __version__
from nnunet_mamba.cli import (
    compare,
    convert,
    crossval,
    demo,
    doctor,
    evaluate,
    export,
    external_test,
    import_weights,
    list_networks,
    models,
    pack_model,
    papers,
    plan,
    predict,
    pretrain,
    report,
    reproduce,
    restore,
    scan_backends,
    trainers_path,
    verify,
    web,
)
from nnunet_mamba.cli.options.path_arguments import refuse_unexpanded_paths
from nnunet_mamba.cli.output.streams import INTERRUPTED, guarded_streams, has_no_colours, replace_unknown_characters
from nnunet_mamba.cli.run_reports import reported_files
from nnunet_mamba.cli.run_reports.run_report_option import with_run_report


class _Commands(TyperGroup):
    """Commands that end with a line and an exit code, whatever happens to their streams."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        with guarded_streams():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="nnunet-mamba",
    cls=_Commands,
    help="State-space (Mamba) segmentation networks for unmodified nnU-Net v2.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        print(f"nnunet-mamba {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version.", callback=_print_version, is_eager=True),
) -> None:
    """State-space (Mamba) segmentation networks for unmodified nnU-Net v2."""
    if has_no_colours():
        ctx.color = False
    replace_unknown_characters()


app.add_typer(convert.app, name="convert")
app.add_typer(models.app, name="models")
app.command("compare")(compare.compare)
for _name, _outputs, _inputs, _command in (
    ("crossval", reported_files.trained_folds, reported_files.splits_and_plans, crossval.crossval),
    ("evaluate", reported_files.scores, None, evaluate.evaluate),
    (
        "external-test",
        reported_files.masks_and_mean_scores,
        reported_files.images_models_and_references,
        external_test.external_test,
    ),
    ("plan", reported_files.all_plans, reported_files.base_plans, plan.plan),
    ("predict", reported_files.masks, reported_files.images_and_model, predict.predict),
    ("report", reported_files.page_and_files, reported_files.validations_and_references, report.report),
    ("reproduce", reported_files.reproduced_table, reported_files.reproduced_data, reproduce.reproduce),
):
    app.command(_name)(with_run_report(_name, outputs=_outputs, inputs=_inputs)(_command))
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("export")(export.export)
app.command("import-weights")(import_weights.import_weights)
app.command("list")(list_networks.list_networks)
app.command("pack-model")(pack_model.pack_model)
app.command("papers")(papers.papers)
app.command("pretrain")(pretrain.pretrain)
app.command("restore")(restore.restore)
app.command("scan-backends")(scan_backends.scan_backends)
app.command("trainers-path")(trainers_path.trainers_path)
app.command("verify")(verify.verify)
app.command("web")(web.web)
refuse_unexpanded_paths(app)
