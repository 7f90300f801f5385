// Where the photo lies on the screen: screen = photo * scale + offset, in CSS pixels. A value; nothing here draws.

import type { Point } from "../masks/bits";
import { type Box, intersect, isEmpty } from "../masks/rle";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

export const MAX_SCALE = 40;
const MARGIN = 24;

export function toScreen(view: View, at: Point): Point {
  return { x: at.x * view.scale + view.x, y: at.y * view.scale + view.y };
}

export function toPhoto(view: View, at: Point): Point {
  return { x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale };
}

/** The whole photo, centred, with room for the panels on each side. */
export function fit(photo: Size, screen: Size, inset = { left: 0, right: 0, top: 0, bottom: 0 }): View {
  const width = Math.max(80, screen.width - inset.left - inset.right - 2 * MARGIN);
  const height = Math.max(80, screen.height - inset.top - inset.bottom - 2 * MARGIN);
  const scale = Math.min(width / photo.width, height / photo.height, MAX_SCALE);
  return {
    scale,
    x: inset.left + MARGIN + (width - photo.width * scale) / 2,
    y: inset.top + MARGIN + (height - photo.height * scale) / 2,
  };
}

/** Zooms by a factor; the photo's point under `at` stays where it is. */
export function zoomAt(view: View, at: Point, factor: number, least: number): View {
  const scale = Math.min(MAX_SCALE, Math.max(least, view.scale * factor));
  const held = toPhoto(view, at);
  return { scale, x: at.x - held.x * scale, y: at.y - held.y * scale };
}

export function panned(view: View, dx: number, dy: number): View {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Keeps part of the photo on the screen, so that nobody is lost in the void. */
export function kept(view: View, photo: Size, screen: Size): View {
  const room = 80;
  return {
    scale: view.scale,
    x: Math.min(screen.width - room, Math.max(room - photo.width * view.scale, view.x)),
    y: Math.min(screen.height - room, Math.max(room - photo.height * view.scale, view.y)),
  };
}

const LARGE = 2048; // of a photo this long a model that looks at all of it sees four pixels as one
const NEAR = 512; // pixels that a model sees at least

/**
 * What of a large photo a model should look at alone, or null where all of it will do. On a grid, so that the view
 * may move a little without looking anew.
 */
export function closeUp(photo: Size, seen: Box): Box | null {
  const longest = Math.max(photo.width, photo.height);
  const long = Math.max(NEAR, seen.x1 - seen.x0, seen.y1 - seen.y0);
  if (longest < LARGE || long > longest / 2 || isEmpty(seen)) return null;
  const step = 2 ** Math.round(Math.log2(long / 6));
  const along = (low: number, high: number, size: number): [number, number] => {
    const room = Math.max(0, (NEAR - (high - low)) / 2);
    return [Math.max(0, Math.floor((low - room) / step) * step), Math.min(size, Math.ceil((high + room) / step) * step)];
  };
  const [x0, x1] = along(seen.x0, seen.x1, photo.width);
  const [y0, y1] = along(seen.y0, seen.y1, photo.height);
  return { x0, y0, x1, y1 };
}

/** The pixels of the photo that the screen shows. */
export function visible(view: View, photo: Size, screen: Size): Box {
  const from = toPhoto(view, { x: 0, y: 0 });
  const to = toPhoto(view, { x: screen.width, y: screen.height });
  return intersect(
    { x0: 0, y0: 0, x1: photo.width, y1: photo.height },
    { x0: Math.floor(from.x), y0: Math.floor(from.y), x1: Math.ceil(to.x), y1: Math.ceil(to.y) },
  );
}
