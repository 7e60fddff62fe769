"""Keep an editable install free of copies: only the start-up files go into site-packages."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditableBuildHook(BuildHookInterface):
    """Force-include the start-up files alone; trainers/ and dataset_conversion/ are read from the checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Choose what an editable wheel carries besides the path to the checkout."""
        if version == "editable":
            build_data["force_include_editable"] = {
                f"{self.root}/packaging/{name}": name for name in ("nnunet_mamba.pth", "nnunet_mamba.start")
            }
