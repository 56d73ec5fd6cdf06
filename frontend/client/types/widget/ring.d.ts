/**
 * Returns an SVG element. Its attributes are no styles, so every policy allows them.
 *
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {Element[]} children
 */
export declare function createSVG(tag: string, attributes: Record<string, string>, ...children: Element[]): SVGElement;
/** A drawn tick, on a disc. */
export declare const createTick: () => SVGElement;
/**
 * Puts a ring around `place` that shows how much of a state's time is left. The style sheet moves it,
 * by the custom properties `--total`, `--gone` and `--steps`. Returns a function to call at every
 * change, and as often as wanted.
 *
 * @param {Element} place
 */
export declare function createRing(place: Element): (state: string, left: number) => void;
