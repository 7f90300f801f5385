// A small picture of one mask on its photo: cut around what is meant, which has a thin line of its own.

import type { Rle } from "../api/types";
import { type Box, type Mask, maskFromCounts } from "../masks/rle";
import { outlineOf } from "./outline";
import { type Colour, paintRegion } from "./raster";

const ROOM = 0.35; // of the longer side of what is meant, around it

export class Cutout {
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly photo: ImageBitmap,
    private readonly size: { readonly width: number; readonly height: number },
  ) {}

  draw(truth: Rle, answer: Rle, [x, y]: readonly [number, number], colour: Colour): void {
    const context = this.canvas.getContext("2d")!;
    const [meant, mask] = [truth, answer].map((one) => maskFromCounts(one.counts, one.size[1], one.size[0])) as [Mask, Mask];
    const { box, scale } = this.windowOf(meant.box);
    context.reset();
    context.scale(scale, scale);
    context.translate(-box.x0, -box.y0);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.photo, 0, 0, this.size.width, this.size.height);
    this.paint(context, mask, colour);
    context.lineWidth = 1.5 / scale;
    context.setLineDash([5 / scale, 4 / scale]);
    context.strokeStyle = "white";
    context.stroke(outlineOf(meant));
    context.setLineDash([]);
    context.beginPath();
    context.arc(x, y, 6 / scale, 0, 2 * Math.PI);
    context.fillStyle = "#18a957";
    context.fill();
    context.lineWidth = 2.5 / scale;
    context.stroke();
  }

  private windowOf(meant: Box): { box: Box; scale: number } {
    const { width, height } = this.canvas;
    const room = ROOM * Math.max(meant.x1 - meant.x0, meant.y1 - meant.y0, 40);
    const scale = Math.min(width / (meant.x1 - meant.x0 + 2 * room), height / (meant.y1 - meant.y0 + 2 * room));
    const [w, h] = [width / scale, height / scale];
    const within = (middle: number, part: number, whole: number): number => Math.min(Math.max(0, whole - part), Math.max(0, middle - part / 2));
    const x0 = within((meant.x0 + meant.x1) / 2, w, this.size.width);
    const y0 = within((meant.y0 + meant.y1) / 2, h, this.size.height);
    return { box: { x0, y0, x1: x0 + w, y1: y0 + h }, scale };
  }

  private paint(context: CanvasRenderingContext2D, mask: Mask, colour: Colour): void {
    const { x0, y0, x1, y1 } = mask.box;
    if (x1 <= x0) return;
    const pixels = new ImageData(x1 - x0, y1 - y0);
    paintRegion(pixels, { x: x0, y: y0 }, 1, mask.box, [{ mask, colour, fill: 130 }]);
    const layer = new OffscreenCanvas(x1 - x0, y1 - y0);
    layer.getContext("2d")!.putImageData(pixels, 0, 0);
    context.drawImage(layer, x0, y0);
  }
}
