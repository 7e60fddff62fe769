"""Thirty faults that a reviewer could overlook, spread over all packages."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One small change that makes the package wrong.

    Args:
        name: what it does to the package.
        package: the package, or the room of ``data``, that it is in.
        old: a text of the sources, of one line.
        new: what takes its place.
        elsewhere: further pairs of old and new text with the same effect, for trees in which the line reads
            otherwise. Of all old texts exactly one must be in a tree, once.
    """

    name: str
    package: str
    old: str
    new: str
    elsewhere: tuple[tuple[str, str], ...] = ()

    @property
    def replacements(self) -> tuple[tuple[str, str], ...]:
        """All pairs of old and new text."""
        return ((self.old, self.new), *self.elsewhere)


FAULTS = (
    Fault(
        name="scans of a volume are merged with their axes rotated the wrong way",
        package="ops",
        old="x = x + _rotated(rotated, n, n - i)",
        new="x = x + _rotated(rotated, n, i)",
    ),
    Fault(
        name="one state too many is saved where the length is a multiple of the chunk",
        package="ops",
        old="h[SAVED_EVERY - 1 : -1 : SAVED_EVERY]",
        new="h[SAVED_EVERY - 1 :: SAVED_EVERY]",
    ),
    Fault(
        name="the largest step of a mixer's chunk is that of its last token",
        package="ops",
        old="store_row(mixer.largest_step, block, largest)",
        new="store_row(mixer.largest_step, block, step)",
    ),
    Fault(
        name="gradients of gradients by nested transforms are not composed",
        package="ops",
        old="return in_forward_mode or _n_gradients() > 1",
        new="return in_forward_mode or _n_gradients() > 2",
    ),
    Fault(
        name="kept branches of stochastic depth are not strengthened",
        package="blocks",
        old=".bernoulli_(kept) / kept",
        new=".bernoulli_(kept)",
    ),
    Fault(
        name="the attention bridge adds a level without its spatial weights",
        package="blocks",
        old="level * weight + product",
        new="level * weight + level",
    ),
    Fault(
        name="the pixels of a patch are merged row by row",
        package="blocks",
        old="patches.permute(0, 1, 3, 4, 2, 5)",
        new="patches.permute(0, 1, 3, 2, 4, 5)",
    ),
    Fault(
        name="norms without weights are counted as those with weights",
        package="networks",
        old="return (4 if layer.weight is not None else 2) * x.numel()",
        new="return 4 * x.numel()",
    ),
    Fault(
        name="the decoder of VM-UNet has its rates of stochastic depth in the encoder's order",
        package="networks",
        old="drop_path_rates(drop_path_rate, depths_decoder[::-1])",
        new="drop_path_rates(drop_path_rate, depths_decoder)",
    ),
    Fault(
        name="weights of a network that is compiled inside a distributed wrapper keep a wrapper's name",
        package="networks",
        old="for name in (_OF_SEVERAL_DEVICES, _OF_COMPILED) * 2:",
        new="for name in (_OF_SEVERAL_DEVICES, _OF_COMPILED):",
    ),
    Fault(
        name="U-Mamba-Enc keeps its published input size in a training",
        package="presets",
        old='STAGES, "input_size")',
        new="STAGES,)",
    ),
    Fault(
        name="a loss scale that stays the same counts as an overflow",
        package="training",
        old="return before is not None and self._scale < before",
        new="return before is not None and self._scale <= before",
    ),
    Fault(
        name="a spare that has come further than the best checkpoint is not taken",
        package="training",
        old="if not self._has_loaded or (epoch is not None and epoch > self.current_epoch):",
        new="if not self._has_loaded:",
    ),
    Fault(
        name="the decay rates of SS2D are shrunk by weight decay",
        package="training",
        old='_OF_STATE = ("A_log", "A_logs", "A_b_log", "D", "Ds", "D_b")',
        new='_OF_STATE = ("A_log", "A_b_log", "D", "Ds", "D_b")',
    ),
    Fault(
        name="the 5 % rule rounds down",
        package="planning",
        old="round(n_voxels * LARGEST_SHARE / math.prod(patch_size))",
        new="int(n_voxels * LARGEST_SHARE / math.prod(patch_size))",
    ),
    Fault(
        name="plans for another patch have as many stages in the decoder as in the encoder",
        package="planning",
        old='n = n_stages - 1 if name.endswith("decoder") else n_stages',
        new="n = n_stages",
    ),
    Fault(
        name="the memory of a training is that of its process group, not of its session",
        package="crossval",
        old='.rpartition(")")[2].split()[3])',
        new='.rpartition(")")[2].split()[2])',
    ),
    Fault(
        name="a second training starts before any has shown what it takes",
        package="crossval",
        old="any(status.has_shown_its_memory for status in alike)",
        new="all(status.has_shown_its_memory for status in alike)",
    ),
    Fault(
        name="a case that is called as a group joins it",
        package="data/splits",
        old="found[group is not None, identifier if group is None else group].append(identifier)",
        new="found[False, identifier if group is None else group].append(identifier)",
    ),
    Fault(
        name="the places that two readers find for a volume may differ by the longest side of a voxel",
        package="data/formats",
        old="if distance > TOLERANCE * volume.spacing.min():",
        new="if distance > TOLERANCE * volume.spacing.max():",
    ),
    Fault(
        name="a restored case of several files counts as whole with its first",
        package="data/restoring",
        old="if not all(target.is_file() for target in restored_files(",
        new="if not any(target.is_file() for target in restored_files(",
    ),
    Fault(
        name="an empty file, as a power failure leaves it, counts as a whole case",
        package="data/writing",
        old="return path.is_file() and path.stat().st_size > 0",
        new="return path.is_file()",
    ),
    Fault(
        name="an archive in capitals beside its own folder is a part of its own",
        package="data/converters",
        old="if path.is_dir() or path.stem.lower() not in folders]",
        new="if path.is_dir() or path.stem not in folders]",
    ),
    Fault(
        name="a cell with an empty value in capitals is a group",
        package="data/sources",
        old="if row[column].lower() not in _EMPTY]",
        new="if row[column] not in _EMPTY]",
    ),
    Fault(
        name="a label that no case has is left out of the mean over labels",
        package="evaluation",
        old="float(np.mean([means[label][metric] for label in scored]))",
        new="float(np.nanmean([means[label][metric] for label in scored]))",
    ),
    Fault(
        name="training logs are read in the order of their names, not of their times",
        package="report",
        old='return [int(number) for number in re.findall(r"\\d+", path.stem)], path.name',
        new="return [], path.name",
    ),
    Fault(
        name="a command that is a link into the environment belongs to another Python",
        package="doctor",
        old="places = {Path(found).parent.resolve(), Path(found).resolve().parent}",
        new="places = {Path(found).parent.resolve()}",
    ),
    Fault(
        name="a path through a folder that is really called ~ is taken",
        package="cli",
        old='if what is None or (os.path.exists(text) and not text.startswith("~")):',
        new="if what is None or os.path.exists(text):",
    ),
    Fault(
        name="the steps after one that is repeated are not repeated",
        package="demo",
        old="        record = {}",
        new="        pass",
    ),
    Fault(
        name="an error of a full disk does not name the file",
        package="system",
        old="if error.errno is not None and error.filename in (None, str(temporary)):",
        new="if error.errno is not None and error.filename == str(temporary):",
    ),
)
