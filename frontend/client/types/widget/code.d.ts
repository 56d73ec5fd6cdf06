/**
 * Keeps the code in an image sharp: a module is a whole number of the screen's pixels, at every zoom.
 * The image of a code is one pixel for each module; a larger one is a picture and fills its place, the
 * parent element.
 *
 * @param {HTMLImageElement} img
 */
export declare function fitCode(img: HTMLImageElement): void;
