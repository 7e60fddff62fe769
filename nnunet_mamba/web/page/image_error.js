/** A file that is no image, or one of which the model can make nothing; the text is one sentence without the name. */
export class ImageError extends Error {}
