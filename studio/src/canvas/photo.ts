// The photo: a chain of halves for quiet zooming out, and tiles from the server for what is too large to hold.

import { type Box } from "../masks/rle";
import type { TileLevel } from "../api/types";

const TILE = 512;
const KEPT = 120; // tiles, a megabyte each

export class Photo {
  private halves: (ImageBitmap | OffscreenCanvas)[] = [];
  private readonly tiles = new Map<string, ImageBitmap | null>();

  /** `display`: the whole photo, perhaps smaller than it is. `levels`: finer pictures that come in tiles. */
  constructor(
    readonly width: number,
    readonly height: number,
    display: ImageBitmap,
    private readonly levels: readonly TileLevel[] = [],
    private readonly load: (level: number, x: number, y: number) => Promise<ImageBitmap> = noTiles,
    private readonly changed: () => void = () => {},
  ) {
    this.show(display);
  }

  /** A finer picture of the same photo takes the place of the first one. */
  show(display: ImageBitmap): void {
    this.halves = [display];
    let last: ImageBitmap | OffscreenCanvas = display;
    while (Math.max(last.width, last.height) > 1024) {
      const half: OffscreenCanvas = new OffscreenCanvas(Math.ceil(last.width / 2), Math.ceil(last.height / 2));
      const context = half.getContext("2d")!;
      context.imageSmoothingQuality = "high";
      context.drawImage(last, 0, 0, half.width, half.height);
      this.halves.push(half);
      last = half;
    }
  }

  /** Draws what is visible; the context's transform maps photo pixels, `scale` is device pixels for one of them. */
  draw(context: CanvasRenderingContext2D, region: Box, scale: number): void {
    const wanted = this.width * scale;
    let best = this.halves[0]!;
    for (const half of this.halves) if (half.width >= wanted) best = half;
    context.imageSmoothingEnabled = scale < 3; // near, the pixels are shown as they are
    context.imageSmoothingQuality = best.width > wanted ? "medium" : "low"; // enlarged, the eye sees no difference
    const [sx, sy] = [best.width / this.width, best.height / this.height];
    const [x, y, width, height] = [region.x0, region.y0, region.x1 - region.x0, region.y1 - region.y0];
    context.drawImage(best, x * sx, y * sy, width * sx, height * sy, x, y, width, height);
    if (wanted > best.width * 1.2) this.drawTiles(context, region, scale);
  }

  private drawTiles(context: CanvasRenderingContext2D, region: Box, scale: number): void {
    const level = this.levels.findLastIndex((one) => 1 / one.scale >= scale);
    const chosen = this.levels[Math.max(0, level)];
    if (!chosen) return;
    const span = TILE * chosen.scale;
    for (let y = Math.floor(region.y0 / span); y * span < region.y1; y++) {
      for (let x = Math.floor(region.x0 / span); x * span < region.x1; x++) {
        const tile = this.tile(Math.max(0, level), x, y);
        if (tile) context.drawImage(tile, x * span, y * span, tile.width * chosen.scale, tile.height * chosen.scale);
      }
    }
  }

  private tile(level: number, x: number, y: number): ImageBitmap | null {
    const key = `${level}/${x}/${y}`;
    const known = this.tiles.get(key);
    if (known !== undefined) return known;
    this.tiles.set(key, null);
    this.load(level, x, y).then(
      (tile) => {
        this.tiles.set(key, tile);
        for (const old of this.tiles.keys()) {
          if (this.tiles.size <= KEPT) break;
          this.tiles.get(old)?.close();
          this.tiles.delete(old);
        }
        this.changed();
      },
      () => this.tiles.delete(key),
    );
    return null;
  }
}

function noTiles(): Promise<ImageBitmap> {
  return Promise.reject(new Error("this photo has no tiles"));
}
