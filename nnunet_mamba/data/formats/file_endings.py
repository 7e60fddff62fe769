"""Which files can be read, by the endings of their names in small letters."""

TIFF_ENDINGS = (".tif", ".tiff")
PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".png", ".bmp", *TIFF_ENDINGS, ".webp", ".gif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
NIFTI_ENDINGS = (".nii.gz", ".nii")
# Those of headers: the voxels may be in a second file beside one, as in x.img of x.hdr and x.raw of x.mhd.
ITK_ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr", ".hdr")
VOLUME_ENDINGS = (*NIFTI_ENDINGS, *ITK_ENDINGS)
ZIP_ENDING = ".zip"
# Those of archives that are not unpacked here.
OTHER_ARCHIVE_ENDINGS = (".rar", ".7z", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
