// Which mask is under the pointer: a grid of cells that know the masks whose boxes touch them.

import { type Mask, contains } from "./rle";

const CELL = 64;

export class HitIndex<Key> {
  private readonly cells = new Map<number, Set<Key>>();
  private readonly masks = new Map<Key, Mask>();

  add(key: Key, mask: Mask): void {
    this.remove(key);
    this.masks.set(key, mask);
    for (const cell of cellsOf(mask)) {
      const keys = this.cells.get(cell);
      if (keys) keys.add(key);
      else this.cells.set(cell, new Set([key]));
    }
  }

  remove(key: Key): void {
    const mask = this.masks.get(key);
    if (!mask) return;
    this.masks.delete(key);
    for (const cell of cellsOf(mask)) this.cells.get(cell)?.delete(key);
  }

  /** The masks that hold a pixel, smallest first: what lies on top of something larger can be reached. */
  at(x: number, y: number): Key[] {
    const keys = this.cells.get(cellAt(Math.floor(x / CELL), Math.floor(y / CELL)));
    if (!keys) return [];
    const [px, py] = [Math.floor(x), Math.floor(y)];
    return [...keys]
      .filter((key) => contains(this.masks.get(key)!, px, py))
      .sort((a, b) => this.masks.get(a)!.area - this.masks.get(b)!.area);
  }
}

function cellAt(column: number, row: number): number {
  return column * 65536 + row;
}

function* cellsOf({ box }: Mask): Generator<number> {
  for (let column = Math.floor(box.x0 / CELL); column * CELL < box.x1; column++) {
    for (let row = Math.floor(box.y0 / CELL); row * CELL < box.y1; row++) yield cellAt(column, row);
  }
}
