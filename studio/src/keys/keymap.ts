// Which key does what. Those of acts.ts may be changed by a person; the rest depends on what goes on.

import { type Bindings, NAMED, type NamedAct, keysOf } from "./acts";

export type Act =
  | NamedAct | "accept" | "cancel" | "next-candidate" | "previous-candidate" | "pick-1" | "pick-2" | "pick-3"
  | "left" | "right" | "up" | "down" | "left-far" | "right-far" | "up-far" | "down-far" | "include" | "exclude"
  | `class-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9}`;

/** `making`: a prompt or a drawing is live. `crosshair`: prompts are placed by keyboard. `corners`: of a polygon are shown. */
export interface Situation {
  readonly making: boolean;
  readonly crosshair: boolean;
  readonly corners: boolean;
  readonly candidates: number;
}

/** Nothing is being made. */
export const QUIET: Situation = { making: false, crosshair: false, corners: false, candidates: 0 };

const FIXED: Readonly<Record<string, Act>> = { Enter: "accept", NumpadEnter: "accept", Escape: "cancel" };
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" } as const;

export type KeyLike = Pick<KeyboardEvent, "code" | "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">;

export function chordOf({ code, ctrlKey, metaKey, shiftKey }: KeyLike): string {
  return (ctrlKey || metaKey ? "Ctrl+" : "") + (shiftKey ? "Shift+" : "") + code;
}

let table: { readonly of: Bindings; readonly acts: ReadonlyMap<string, NamedAct> } | null = null;

function tableOf(bindings: Bindings): ReadonlyMap<string, NamedAct> {
  if (table?.of !== bindings) {
    table = { of: bindings, acts: new Map(NAMED.flatMap((act) => keysOf(act, bindings).map((chord) => [chord, act] as const))) };
  }
  return table.acts;
}

/** What a key means, or null: then it is the browser's. */
export function actOf(event: KeyLike, now: Situation, bindings: Bindings = {}): Act | null {
  const { code, key, shiftKey } = event;
  if (event.altKey) return null;
  if (!event.ctrlKey && !event.metaKey) {
    const moving = now.crosshair || now.corners;
    if (code === "Tab") return tab(shiftKey, now);
    if (code in ARROWS) return arrow(code as keyof typeof ARROWS, shiftKey, now);
    if (key === "+" || code === "NumpadAdd" || code === "Equal") return moving ? "include" : null;
    if (key === "-" || code === "NumpadSubtract") return moving ? "exclude" : null;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
    if (digit && !shiftKey) return digitAct(Number(digit), now);
    if (FIXED[code]) return FIXED[code];
    if (key === "?" && keysOf("help", bindings).includes("Shift+Slash")) return "help"; // wherever it lies on this keyboard
  }
  return tableOf(bindings).get(chordOf(event)) ?? null;
}

function tab(back: boolean, now: Situation): Act | null {
  if (!now.making || (now.candidates < 1 && !now.corners)) return null;
  return back ? "previous-candidate" : "next-candidate";
}

function digitAct(digit: number, now: Situation): Act | null {
  if (now.making && digit <= Math.min(3, now.candidates)) return `pick-${digit as 1 | 2 | 3}`;
  return `class-${digit as 1}`;
}

function arrow(code: keyof typeof ARROWS, far: boolean, now: Situation): Act | null {
  if (now.crosshair || now.corners) return far ? `${ARROWS[code]}-far` : ARROWS[code];
  if (now.making) return null;
  if (code === "ArrowRight") return "next";
  return code === "ArrowLeft" ? "previous" : null;
}

/** Keys belong to a field while somebody types in it, and to a button that has the focus. */
export function belongsToPage(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  if (!target || target === document.body) return false;
  if (target.closest("input:not([type=range]), textarea, select, [contenteditable], dialog[open]")) return true;
  const pressed = event.code === "Enter" || event.code === "Space" || event.code === "Tab";
  if (target.closest("input[type=range]")) return event.code.startsWith("Arrow") || pressed;
  return pressed && !(event.ctrlKey || event.metaKey) && target.closest("button, a, [role=option], [role=tab]") !== null;
}
