// The drawing as a polygon: corners on its outline, to be dragged, added on an edge and taken away.

import type { Stage } from "../canvas/stage";
import { t } from "../i18n/index.svelte";
import type { Point } from "../masks/bits";
import { type Corner, type Ring, cornerAt, edgeAt, patchOf, polygonOf, withCorner } from "../masks/polygon";
import type { Mask } from "../masks/rle";
import { app } from "./app.svelte";
import type { Drafting } from "./drafting.svelte";

const INEXACT = 2; // screen pixels that the polygon may be off the border
const FINER = 1.8; // times nearer: the polygon is made anew, with more corners

export class Corners {
  rings = $state.raw<readonly Ring[]>([]);
  chosen = $state.raw<Corner | null>(null);
  private on = false;
  private seen: Mask | null = null;
  private tolerance = 1;
  private scale = 1;
  private held: { rings: readonly Ring[]; from: Point } | null = null;

  constructor(
    private readonly drafting: Drafting,
    private readonly stage: Stage,
  ) {}

  get live(): boolean {
    return this.rings.length > 0;
  }

  use(on: boolean): void {
    this.on = on;
    this.seen = null;
    this.follow();
  }

  /** Makes the polygon of the drawing as it is now, when somebody else changed it. */
  follow(): void {
    const mask = this.on ? this.drafting.mask : null;
    if (mask === this.seen) return;
    this.seen = mask;
    this.scale = this.stage.view.scale;
    this.tolerance = Math.max(0.75, INEXACT / this.scale);
    this.rings = mask ? polygonOf(mask, this.tolerance) : [];
    this.chosen = null;
    this.held = null;
    this.draw();
  }

  zoomed(): void {
    if (!this.live || this.held || this.stage.view.scale < this.scale * FINER) return;
    this.seen = null;
    this.follow();
  }

  // ---- by pointer; `reach` in photo pixels

  hover(at: Point | null, reach: number): void {
    if (!this.live || this.held) return;
    const corner = at && cornerAt(this.rings, at, reach);
    const edge = at && !corner ? edgeAt(this.rings, at, reach) : null;
    this.stage.setLive({ polygon: { rings: this.rings, hot: corner ?? this.chosen, ghost: edge?.point ?? null } });
  }

  /** Takes hold of a corner, or of a new one on an edge; false when neither is in reach. */
  grab(at: Point, reach: number): boolean {
    const corner = cornerAt(this.rings, at, reach);
    const edge = corner ? null : edgeAt(this.rings, at, reach);
    if (edge) this.rings = withCorner(this.rings, edge.corner, edge.point, true);
    this.chosen = corner ?? edge?.corner ?? null;
    if (!this.chosen) return false;
    this.held = { rings: this.rings, from: this.rings[this.chosen.ring]![this.chosen.at]! };
    this.draw();
    return true;
  }

  drag(at: Point): void {
    if (!this.held || !this.chosen) return;
    const { width, height } = this.drafting;
    const inside = { x: Math.min(width, Math.max(0, at.x)), y: Math.min(height, Math.max(0, at.y)) };
    this.rings = withCorner(this.held.rings, this.chosen, inside);
    this.draw();
  }

  drop(): void {
    const { held, chosen } = this;
    this.held = null;
    if (!held || !chosen || this.rings === held.rings) return;
    this.shape(held.rings, chosen, this.rings[chosen.ring]![chosen.at]!);
  }

  removeAt(at: Point, reach: number): boolean {
    this.held = null;
    this.chosen = cornerAt(this.rings, at, reach);
    this.remove();
    return this.chosen !== null;
  }

  // ---- by keys

  remove(): void {
    if (!this.chosen) return;
    const { ring, at } = this.chosen;
    this.shape(this.rings, this.chosen, null);
    const left = this.rings[ring]?.length ?? 0;
    this.chosen = left ? { ring, at: at % left } : null;
    this.draw();
  }

  step(by: number): void {
    const all = this.rings.flatMap((corners, ring) => corners.map((_, at) => ({ ring, at })));
    const now = all.findIndex(({ ring, at }) => ring === this.chosen?.ring && at === this.chosen.at);
    this.chosen = all[(Math.max(now, by < 0 ? 0 : -1) + by + all.length) % all.length] ?? null;
    const facts = { n: all.indexOf(this.chosen!) + 1, of: all.length };
    app.say(() => t("say.corner", facts));
    this.draw();
  }

  nudge(dx: number, dy: number): void {
    if (!this.chosen) return;
    const { x, y } = this.rings[this.chosen.ring]![this.chosen.at]!;
    this.shape(this.rings, this.chosen, { x: x + dx, y: y + dy });
  }

  /** A new corner in the middle of the edge after the chosen one. */
  add(): void {
    if (!this.chosen) return;
    const { ring, at } = this.chosen;
    const corners = this.rings[ring]!;
    const [a, b] = [corners[at]!, corners[(at + 1) % corners.length]!];
    this.chosen = { ring, at: at + 1 };
    this.rings = withCorner(this.rings, this.chosen, { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 }, true);
    this.draw();
  }

  private shape(before: readonly Ring[], corner: Corner, to: Point | null): void {
    const rings = withCorner(before, corner, to);
    const patch = patchOf(this.drafting, before[corner.ring]!, corner.at, rings, to, this.tolerance);
    if (patch) this.drafting.patch(patch);
    this.seen = this.drafting.mask;
    this.rings = rings;
    this.draw();
    if (this.seen) this.changed();
  }

  /** Told when the drawing was changed by a corner. */
  changed: () => void = () => {};

  private draw(): void {
    this.stage.setLive({ polygon: this.live ? { rings: this.rings, hot: this.chosen, ghost: null } : null });
  }
}
