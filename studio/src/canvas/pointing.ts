// Mouse, pen and fingers on the photo, turned into what they mean. One small state machine, no framework.

import type { Point } from "../masks/bits";
import type { Box } from "../masks/rle";
import type { Stage } from "./stage";
import { panned, toPhoto, zoomAt } from "./view";

const DRAG = 6; // screen pixels before a press is a drag
const LONG_PRESS_MS = 480;
const REACH = [10, 24] as const; // screen pixels to a corner, by mouse and by finger

export type Manner = "click" | "box" | "stroke" | "lasso" | "corners" | "select" | "pan";

/** `width`: how wide a brush is for a pen that is pressed harder or less, 1 for everything else. */
export interface Touched extends Point {
  readonly width: number;
}

/** What the photo's tools do; positions in photo pixels. */
export interface Target {
  manner(): Manner;
  panning(): boolean;
  click(at: Point, label: 0 | 1): void;
  select(at: Point, more: boolean): void;
  box(box: Box): void;
  strokeDown(at: Touched, inverted: boolean): void;
  strokeMove(points: readonly Touched[]): void;
  strokeUp(): void;
  lasso(corners: readonly Point[], inverted: boolean): void;
  /** A corner of the outline: taken hold of when one is in reach (photo pixels), moved, let go. */
  grab(at: Point, reach: number): boolean;
  drag(at: Point): void;
  drop(): void;
  hover(at: Point | null): void;
  cycle(by: number): void;
  busy(drawing: boolean): void;
}

type Doing = "nothing" | "pressed" | "pan" | "box" | "stroke" | "lasso" | "corner" | "pinch";

export class Pointing {
  private readonly down = new Map<number, Point>();
  private doing: Doing = "nothing";
  private start: Point = { x: 0, y: 0 };
  private button = 0;
  private corners: Point[] = [];
  private longPress: ReturnType<typeof setTimeout> | undefined;
  private penSeen = -Infinity;
  private readonly stop = new AbortController();

  constructor(
    private readonly element: HTMLElement,
    private readonly stage: Stage,
    private readonly target: Target,
  ) {
    const { signal } = this.stop;
    const on = <K extends keyof HTMLElementEventMap>(name: K, act: (event: HTMLElementEventMap[K]) => void): void =>
      element.addEventListener(name, act, { signal, passive: false });
    on("pointerdown", (event) => this.pressed(event));
    on("pointermove", (event) => this.movedTo(event));
    on("pointerup", (event) => this.released(event));
    on("pointercancel", (event) => this.cancelled(event));
    on("pointerleave", () => this.doing === "nothing" && this.target.hover(null));
    on("contextmenu", (event) => event.preventDefault());
    on("wheel", (event) => this.wheel(event));
    on("dblclick", (event) => event.preventDefault());
  }

  close(): void {
    this.stop.abort();
    clearTimeout(this.longPress);
  }

  private place(event: MouseEvent): Point {
    const frame = this.element.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  private photo(at: Point): Point {
    return toPhoto(this.stage.view, at);
  }

  private inside(at: Point): boolean {
    const { photo } = this.stage;
    return photo !== null && at.x >= 0 && at.y >= 0 && at.x < photo.width && at.y < photo.height;
  }

  private pressed(event: PointerEvent): void {
    if (event.pointerType === "pen") this.penSeen = event.timeStamp;
    if (event.pointerType === "touch" && event.timeStamp - this.penSeen < 1500) return; // the palm of a hand that holds a pen
    this.element.dataset.by = "pointer"; // no ring of focus for who has just pointed at it
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    const at = this.place(event);
    this.down.set(event.pointerId, at);
    if (this.down.size === 2) return this.pinch();
    if (this.down.size > 2) return;
    this.start = at;
    this.button = event.button;
    const manner = this.target.manner();
    if (event.button === 1 || this.target.panning() || manner === "pan") return this.begin("pan");
    const inverted = event.ctrlKey || event.button === 2;
    if (manner === "stroke") {
      this.begin("stroke");
      return this.target.strokeDown({ ...this.photo(at), width: widthOf(event) }, inverted);
    }
    if (manner === "lasso") {
      this.corners = [this.photo(at)];
      return this.begin("lasso");
    }
    const grabs = manner === "corners" && event.button === 0 && !event.altKey;
    if (grabs && this.target.grab(this.photo(at), REACH[event.pointerType === "touch" ? 1 : 0] / this.stage.view.scale)) this.begin("corner");
    else this.doing = "pressed";
    if (event.pointerType === "touch" && (manner === "click" || manner === "corners")) {
      this.longPress = setTimeout(() => {
        if (this.doing !== "pressed" && this.doing !== "corner") return;
        this.begin("nothing");
        this.target.click(this.photo(at), 0);
      }, LONG_PRESS_MS);
    }
  }

  private begin(doing: Doing): void {
    this.doing = doing;
    clearTimeout(this.longPress);
    this.target.busy(doing !== "nothing");
  }

  private pinch(): void {
    if (this.doing === "stroke") this.target.strokeUp();
    if (this.doing === "corner") this.target.drop();
    this.stage.setLive({ lasso: [], box: null });
    this.begin("pinch");
  }

  private movedTo(event: PointerEvent): void {
    if (event.pointerType === "pen") this.penSeen = event.timeStamp;
    const at = this.place(event);
    const before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.target.hover(this.photo(at));
      return;
    }
    if (this.doing === "pinch") return this.pinched(event.pointerId, at);
    this.down.set(event.pointerId, at);
    if (this.doing === "pressed" && Math.hypot(at.x - this.start.x, at.y - this.start.y) > DRAG) this.dragged(event);
    if (this.doing === "corner" && Math.hypot(at.x - this.start.x, at.y - this.start.y) > 2) clearTimeout(this.longPress);
    if (this.doing === "corner") this.target.drag(this.photo(at));
    else if (this.doing === "pan") this.stage.look(panned(this.stage.view, at.x - before.x, at.y - before.y));
    else if (this.doing === "box") this.stage.setLive({ box: this.boxTo(at) });
    else if (this.doing === "stroke") this.target.strokeMove(this.points(event));
    else if (this.doing === "lasso") {
      this.corners.push(...this.points(event));
      this.stage.setLive({ lasso: this.corners });
    }
  }

  private dragged(event: PointerEvent): void {
    const manner = this.target.manner();
    if (manner === "box" || (manner === "click" && event.pointerType !== "touch" && this.button === 0)) this.begin("box");
    else if (this.button === 0) this.begin("pan");
  }

  /** Every place between two events: fast pens send several at once. */
  private points(event: PointerEvent): Touched[] {
    const all = event.getCoalescedEvents?.() ?? [];
    return (all.length ? all : [event]).map((one) => ({ ...this.photo(this.place(one)), width: widthOf(one) }));
  }

  private boxTo(at: Point): Box {
    const { photo } = this.stage;
    const [a, b] = [this.photo(this.start), this.photo(at)];
    const clip = (value: number, most: number): number => Math.min(most, Math.max(0, value));
    return {
      x0: clip(Math.min(a.x, b.x), photo!.width),
      y0: clip(Math.min(a.y, b.y), photo!.height),
      x1: clip(Math.max(a.x, b.x), photo!.width),
      y1: clip(Math.max(a.y, b.y), photo!.height),
    };
  }

  private pinched(id: number, at: Point): void {
    const others = [...this.down].filter(([other]) => other !== id).map(([, point]) => point);
    const [other] = others;
    const before = this.down.get(id)!;
    this.down.set(id, at);
    if (!other) return;
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    const factor = Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
    const zoomed = zoomAt(this.stage.view, middle, factor, this.stage.least());
    this.stage.look(panned(zoomed, (at.x - before.x) / 2, (at.y - before.y) / 2));
  }

  private released(event: PointerEvent): void {
    const at = this.place(event);
    if (!this.down.delete(event.pointerId)) return;
    clearTimeout(this.longPress);
    if (this.doing === "pinch") {
      if (this.down.size === 0) this.begin("nothing");
      return;
    }
    const doing = this.doing;
    this.begin("nothing");
    if (doing === "pressed") this.tapped(event);
    else if (doing === "box") this.boxed(at);
    else if (doing === "stroke") this.target.strokeUp();
    else if (doing === "corner") this.target.drop();
    else if (doing === "lasso") {
      this.stage.setLive({ lasso: [] });
      this.target.lasso(this.corners, event.ctrlKey || this.button === 2);
    }
  }

  private boxed(at: Point): void {
    const box = this.boxTo(at);
    if (box.x1 - box.x0 < 1 || box.y1 - box.y0 < 1) return this.stage.setLive({ box: null });
    this.target.box(box);
  }

  private tapped(event: PointerEvent): void {
    const at = this.photo(this.start);
    if (!this.inside(at)) return;
    const manner = this.target.manner();
    if (manner === "select" || event.shiftKey) this.target.select(at, event.shiftKey);
    else this.target.click(at, this.button === 2 || event.altKey ? 0 : 1);
  }

  private cancelled(event: PointerEvent): void {
    this.down.delete(event.pointerId);
    if (this.doing === "stroke") this.target.strokeUp();
    this.stage.setLive({ lasso: [], box: null });
    this.begin("nothing");
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    if (event.altKey) return this.target.cycle(Math.sign(event.deltaY));
    const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    const step = event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018);
    this.stage.zoom(Math.exp(-Math.max(-0.6, Math.min(0.6, step))), this.place(event));
  }
}

/** Pens tell 0 to 1, and 0.5 when they feel nothing. */
function widthOf({ pointerType, pressure }: PointerEvent): number {
  return pointerType === "pen" ? 0.3 + 1.4 * pressure : 1;
}
