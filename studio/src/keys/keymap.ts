// Which key does what. A table, so that help and code cannot disagree, and a closed list of actions.

export type Act =
  | "accept" | "cancel" | "back" | "undo" | "redo" | "next-candidate" | "previous-candidate"
  | "pick-1" | "pick-2" | "pick-3"
  | "tool-click" | "tool-box" | "tool-brush" | "tool-eraser" | "tool-lasso" | "tool-select" | "everything"
  | "smaller" | "larger" | "delete" | "hide" | "hide-all" | "lock" | "merge" | "split" | "outlines"
  | "fainter" | "stronger" | "peek" | "next" | "previous" | "submit" | "skip" | "save"
  | "crosshair" | "left" | "right" | "up" | "down" | "left-far" | "right-far" | "up-far" | "down-far"
  | "include" | "exclude" | "fit" | "real" | "next-calm" | "confirm" | "wrong" | "class-search" | "copy" | "help"
  | "words" | `class-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9}`;

/** `making`: a prompt or a drawing is live. `crosshair`: prompts are placed by keyboard. */
export interface Situation {
  readonly making: boolean;
  readonly crosshair: boolean;
  readonly candidates: number;
}

const PLAIN: Readonly<Record<string, Act>> = {
  KeyS: "tool-click", KeyR: "tool-box", KeyB: "tool-brush", KeyE: "tool-eraser", KeyP: "tool-lasso", KeyQ: "tool-select",
  KeyT: "everything", BracketLeft: "smaller", BracketRight: "larger", Delete: "delete", KeyH: "hide", KeyL: "lock",
  KeyM: "merge", KeyU: "split", KeyI: "outlines", Comma: "fainter", Period: "stronger", KeyO: "peek",
  KeyD: "next", KeyF: "next", KeyA: "previous", KeyG: "crosshair", Digit0: "fit", Semicolon: "next-calm",
  KeyY: "confirm", KeyX: "wrong", Slash: "class-search", KeyC: "copy", KeyW: "words",
  Enter: "accept", Escape: "cancel", Backspace: "back", F1: "help",
};
const SHIFTED: Readonly<Record<string, Act>> = { KeyH: "hide-all", Digit0: "real", Slash: "help", Equal: "include" };
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" } as const;

export type KeyLike = Pick<KeyboardEvent, "code" | "key" | "ctrlKey" | "metaKey" | "shiftKey" | "altKey">;

/** What a key means, or null: then it is the browser's. */
export function actOf(event: KeyLike, now: Situation): Act | null {
  const { code, key, shiftKey } = event;
  if (event.ctrlKey || event.metaKey) return commanded(event);
  if (event.altKey) return null;
  if (key === "?") return "help";
  if (code === "Tab") return now.making && now.candidates > 1 ? (shiftKey ? "previous-candidate" : "next-candidate") : null;
  if (code in ARROWS) return arrow(code as keyof typeof ARROWS, shiftKey, now);
  if (key === "+" || code === "NumpadAdd" || (code === "Equal" && now.crosshair)) return now.crosshair ? "include" : null;
  if (key === "-" || code === "NumpadSubtract") return now.crosshair ? "exclude" : null;
  const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
  if (digit && !shiftKey) return digitAct(Number(digit), now);
  if (code === "NumpadEnter") return "accept";
  return (shiftKey ? SHIFTED[code] : PLAIN[code]) ?? null;
}

function commanded({ code, shiftKey }: KeyLike): Act | null {
  if (code === "KeyZ") return shiftKey ? "redo" : "undo";
  if (code === "KeyY") return "redo";
  if (code === "Enter") return "submit";
  if (code === "Space") return "skip";
  if (code === "KeyS" && !shiftKey) return "save";
  return null;
}

function digitAct(digit: number, now: Situation): Act | null {
  if (now.making && digit <= Math.min(3, now.candidates)) return `pick-${digit as 1 | 2 | 3}`;
  return `class-${digit as 1}`;
}

function arrow(code: keyof typeof ARROWS, far: boolean, now: Situation): Act | null {
  if (now.crosshair) return far ? `${ARROWS[code]}-far` : ARROWS[code];
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
