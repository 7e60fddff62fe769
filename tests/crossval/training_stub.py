"""Writes what a training of ``nnUNetv2_train`` writes, in milliseconds, from the same arguments.

STUB in the environment makes runs misbehave: {"TRAINER/FOLD": {"at": EPOCH, "do": PYTHON}} in place of ending an
epoch, or {"at": "case 0", …} after a case of the validation.
"""

import argparse
import json
import os
import sys
import zipfile
from pathlib import Path

N_EPOCHS = 3
CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_latest.pth", "checkpoint_best.pth")
TOLD = ("OMP_NUM_THREADS", "nnUNet_n_proc_DA", "nnUNet_def_n_proc", "CUDA_VISIBLE_DEVICES")
GPU_USE = os.environ.get("NNUNET_MAMBA_CROSSVAL_GPU_USE")


def write_checkpoint(path, epoch):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("epoch", str(epoch))


def first_epoch(fold):
    found = [fold / name for name in CHECKPOINTS if (fold / name).exists()]
    return int(zipfile.ZipFile(found[0]).read("epoch")) if found else 0


def train(fold, *, resume, behaviour):
    begin = first_epoch(fold) if resume else 0
    (fold / "debug.json").write_text(json.dumps({"num_epochs": str(N_EPOCHS)}))
    number = len(list(fold.glob("training_log_*")))
    with (fold / f"training_log_2025_1_1_0_0_{number}.txt").open("w") as log:

        def say(*lines):
            log.writelines(f"2025-01-01 00:00:00.000000: {line} \n" for line in lines)
            log.flush()

        for epoch in range(begin, N_EPOCHS):
            say(f"Epoch {epoch}")
            if behaviour.get("at") == epoch:
                exec(behaviour["do"])
            say(f"train_loss {1 - epoch / 10}", "val_loss 0.5", f"Pseudo dice [np.float32({epoch / 10})]")
            say("Epoch time: 2.0 s")
            write_checkpoint(fold / "checkpoint_latest.pth", epoch + 1)
    write_checkpoint(fold / "checkpoint_final.pth", N_EPOCHS)
    (fold / "checkpoint_latest.pth").unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser()
    for name in ("dataset", "configuration", "fold", "-tr", "-p", "-device"):
        parser.add_argument(name)
    for name in ("--npz", "--c", "--val"):
        parser.add_argument(name, action="store_true")
    given = parser.parse_args()
    model = f"{given.tr}__{given.p}__{given.configuration}"
    fold = Path(os.environ["nnUNet_results"], given.dataset, model, f"fold_{given.fold}")
    fold.mkdir(parents=True, exist_ok=True)
    told = {
        "arguments": sys.argv[1:],
        "pid": os.getpid(),
        "parent": os.getppid(),
        **{name: os.environ.get(name) for name in TOLD},
    }
    with (fold / "started.jsonl").open("a") as file:
        file.write(json.dumps(told) + "\n")
    behaviour = json.loads(os.environ.get("STUB", "{}")).get(f"{given.tr}/{given.fold}", {})
    if not given.val:
        train(fold, resume=given.c, behaviour=behaviour)
    validation = fold / "validation"
    validation.mkdir(exist_ok=True)
    for case in range(2):
        if given.npz:
            (validation / f"case_{case}.npz").touch()
        (validation / f"case_{case}.png").touch()
        if behaviour.get("at") == f"case {case}":
            exec(behaviour["do"])
    summary = {"foreground_mean": {"Dice": 0.5 + int(given.fold) / 10}, "metric_per_case": [{}, {}]}
    (validation / "summary.json").write_text(json.dumps(summary))


if __name__ == "__main__":
    main()
