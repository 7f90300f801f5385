// The accepted masks as a picture over the photo: tiles of 512 pixels at powers of two, painted when they are looked at.

import { type Box, intersect, isEmpty } from "../masks/rle";
import { type Painted, paintRegion } from "./raster";

export const TILE = 512;
const KEPT = 60; // tiles, three megabytes each

interface Tile {
  readonly canvas: OffscreenCanvas;
  readonly areas: ImageData;
  /** The borders alone. Painted with the areas, so that one can be shown for the other at once. */
  readonly lines: ImageData;
  outlined: boolean;
  readonly box: Box;
  readonly step: number;
  stale: Box[];
}

/** Gives what is to be painted in a region, lowest first. */
export type Source = (region: Box) => Iterable<Painted>;

export class OverlayTiles {
  /** Borders are shown without their areas. */
  outlined = false;
  private readonly tiles = new Map<string, Tile>();

  constructor(
    readonly width: number,
    readonly height: number,
    private readonly source: Source,
  ) {}

  /** A mask changed: only its box is painted again, and only where a tile shows it. */
  touch(box: Box): void {
    if (isEmpty(box)) return;
    for (const tile of this.tiles.values()) {
      const margin = tile.step; // the border of a reduced mask may lie one step outside of its box
      const grown = { x0: box.x0 - margin, y0: box.y0 - margin, x1: box.x1 + margin, y1: box.y1 + margin };
      const part = intersect(tile.box, grown);
      if (!isEmpty(part)) tile.stale.push(part);
    }
  }

  touchAll(): void {
    this.touch({ x0: 0, y0: 0, x1: this.width, y1: this.height });
  }

  /**
   * Draws the tiles of a region into a context whose transform maps photo pixels.
   * Paints what is stale until `until` (performance.now); gives false when some of it is left for another frame.
   */
  draw(context: CanvasRenderingContext2D, region: Box, scale: number, until: number): boolean {
    const step = stepFor(scale);
    const span = TILE * step;
    let complete = true;
    for (let y = Math.floor(region.y0 / span); y * span < region.y1; y++) {
      for (let x = Math.floor(region.x0 / span); x * span < region.x1; x++) {
        const tile = this.tile(x, y, step);
        if (tile.stale.length && performance.now() < until) this.paint(tile);
        if (tile.stale.length) complete = false;
        if (tile.outlined !== this.outlined) this.turn(tile);
        context.drawImage(tile.canvas, tile.box.x0, tile.box.y0, tile.canvas.width * step, tile.canvas.height * step);
      }
    }
    this.forget();
    return complete;
  }

  private tile(x: number, y: number, step: number): Tile {
    const key = `${step}/${x}/${y}`;
    const known = this.tiles.get(key);
    if (known) {
      this.tiles.delete(key); // the last one drawn is the last one forgotten
      this.tiles.set(key, known);
      return known;
    }
    const span = TILE * step;
    const box = intersect(
      { x0: x * span, y0: y * span, x1: (x + 1) * span, y1: (y + 1) * span },
      { x0: 0, y0: 0, x1: this.width, y1: this.height },
    );
    const canvas = new OffscreenCanvas(Math.ceil((box.x1 - box.x0) / step), Math.ceil((box.y1 - box.y0) / step));
    const { width, height } = canvas;
    const [areas, lines] = [new ImageData(width, height), new ImageData(width, height)];
    const tile = { canvas, areas, lines, outlined: this.outlined, box, step, stale: [box] };
    this.tiles.set(key, tile);
    return tile;
  }

  private paint(tile: Tile): void {
    const context = tile.canvas.getContext("2d")!;
    const whole = tile.stale.length > 8 ? [tile.box] : tile.stale;
    for (const part of whole) {
      const origin = { x: tile.box.x0, y: tile.box.y0 };
      const target = paintRegion(tile.areas, origin, tile.step, part, this.source(part), tile.lines);
      if (isEmpty(target)) continue;
      const pixels = tile.outlined ? tile.lines : tile.areas;
      context.putImageData(pixels, 0, 0, target.x0, target.y0, target.x1 - target.x0, target.y1 - target.y0);
    }
    tile.stale = [];
  }

  private turn(tile: Tile): void {
    tile.outlined = this.outlined;
    tile.canvas.getContext("2d")!.putImageData(tile.outlined ? tile.lines : tile.areas, 0, 0);
  }

  private forget(): void {
    for (const key of this.tiles.keys()) {
      if (this.tiles.size <= KEPT) return;
      this.tiles.delete(key);
    }
  }
}

/** The reduction for a scale (device pixels a photo pixel): the largest power of two that loses nothing visible. */
export function stepFor(scale: number): number {
  let step = 1;
  while (scale * step * 2 <= 1.01 && step < 64) step *= 2;
  return step;
}
