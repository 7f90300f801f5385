// Everything that keys and the palette can do: a closed list, each with its name and the keys it comes with.
// A chord is the place of a key on the keyboard, after Ctrl+ and Shift+ where they are held.

import type { Word } from "../i18n/index.svelte";

interface Facts {
  readonly name: Word;
  readonly group: Word;
  readonly keys: readonly string[];
}

const list = {
  "tool-click": { name: "tool.click", group: "help.point", keys: ["KeyS"] },
  "tool-box": { name: "tool.box", group: "help.point", keys: ["KeyR"] },
  everything: { name: "tool.everything", group: "help.point", keys: ["KeyT"] },
  words: { name: "words.label", group: "help.point", keys: ["KeyW"] },
  back: { name: "help.lastclick", group: "help.point", keys: ["Backspace"] },
  "tool-brush": { name: "tool.brush", group: "help.correct", keys: ["KeyB"] },
  "tool-eraser": { name: "tool.eraser", group: "help.correct", keys: ["KeyE"] },
  smaller: { name: "act.smaller", group: "help.correct", keys: ["BracketLeft"] },
  larger: { name: "act.larger", group: "help.correct", keys: ["BracketRight"] },
  "tool-lasso": { name: "tool.lasso", group: "help.correct", keys: ["KeyP"] },
  "tool-corners": { name: "tool.corners", group: "help.correct", keys: ["KeyV"] },
  undo: { name: "act.undo", group: "help.correct", keys: ["Ctrl+KeyZ"] },
  redo: { name: "act.redo", group: "help.correct", keys: ["Ctrl+Shift+KeyZ", "Ctrl+KeyY"] },
  "tool-select": { name: "tool.select", group: "help.masks", keys: ["KeyQ"] },
  delete: { name: "act.delete", group: "help.masks", keys: ["Delete"] },
  hide: { name: "act.hide", group: "help.masks", keys: ["KeyH"] },
  "hide-all": { name: "act.hideall", group: "help.masks", keys: ["Shift+KeyH"] },
  lock: { name: "act.lock", group: "help.masks", keys: ["KeyL"] },
  merge: { name: "act.merge", group: "help.masks", keys: ["KeyM"] },
  split: { name: "act.split", group: "help.masks", keys: ["KeyU"] },
  "class-search": { name: "class.search", group: "help.masks", keys: ["Slash"] },
  "next-calm": { name: "help.nextcalm", group: "help.masks", keys: ["Semicolon"] },
  confirm: { name: "act.confirm", group: "help.masks", keys: ["KeyY"] },
  wrong: { name: "audit.wrong", group: "help.masks", keys: ["KeyX"] },
  fit: { name: "act.fit", group: "help.view", keys: ["Digit0"] },
  real: { name: "act.real", group: "help.view", keys: ["Shift+Digit0"] },
  fainter: { name: "act.fainter", group: "help.view", keys: ["Comma"] },
  stronger: { name: "act.stronger", group: "help.view", keys: ["Period"] },
  peek: { name: "help.peek", group: "help.view", keys: ["KeyO"] },
  outlines: { name: "act.outlines", group: "help.view", keys: ["KeyI"] },
  panel: { name: "panel.open", group: "help.view", keys: ["Backslash"] },
  submit: { name: "help.done", group: "help.photos", keys: ["Ctrl+Enter"] },
  skip: { name: "act.skip", group: "help.photos", keys: ["Ctrl+Space"] },
  next: { name: "act.next", group: "help.photos", keys: ["KeyD", "KeyF"] },
  previous: { name: "act.previous", group: "help.photos", keys: ["KeyA"] },
  copy: { name: "act.copy", group: "help.photos", keys: ["KeyC"] },
  save: { name: "act.flush", group: "help.photos", keys: ["Ctrl+KeyS"] },
  crosshair: { name: "help.crosshair", group: "help.keyboard", keys: ["KeyG"] },
  palette: { name: "palette.title", group: "help.keyboard", keys: ["Ctrl+KeyK"] },
  help: { name: "nav.help", group: "help.keyboard", keys: ["Shift+Slash", "F1"] },
} as const satisfies Record<string, Facts>;

/** What has a key that may be changed. */
export type NamedAct = keyof typeof list;

export const ACTS: Readonly<Record<NamedAct, Facts>> = list;
export const NAMED = Object.keys(list) as NamedAct[];

/** Chords in place of those an act comes with, per act. */
export type Bindings = Partial<Record<NamedAct, readonly string[]>>;

const CHORD = /^(Ctrl\+)?(Shift\+)?(Key[A-Z]|Digit0|F[1-9]|F10|Backquote|Bracket(?:Left|Right)|Semicolon|Quote|Comma|Period|Slash|Backslash|Delete|Backspace|Insert|Home|End|PageUp|PageDown|Enter|Space)$/;
/** The browser's own, and those that mean something by themselves. */
const RESERVED = /^(Ctrl\+(Shift\+)?(Key[WTNRLCVXAFPQIJ]|Digit0|F\d+)|F5|(Shift\+)?(Enter|Space)|Ctrl\+(Page\w+|Backspace|Delete))$/;

export function assignable(chord: string): boolean {
  return CHORD.test(chord) && !RESERVED.test(chord);
}

export function keysOf(act: NamedAct, bindings: Bindings): readonly string[] {
  return bindings[act] ?? ACTS[act].keys;
}

/** The act that has a chord now. */
export function ownerOf(chord: string, bindings: Bindings): NamedAct | undefined {
  return NAMED.find((act) => keysOf(act, bindings).includes(chord));
}

/** With a chord for an act; whoever had it before loses it. */
export function bound(act: NamedAct, chord: string, bindings: Bindings): Bindings {
  const owner = ownerOf(chord, bindings);
  const rest = owner && owner !== act ? { [owner]: keysOf(owner, bindings).filter((one) => one !== chord) } : {};
  return { ...bindings, ...rest, [act]: [chord] };
}

/** Only what is on the list, whatever was stored or handed over. */
export function checkedBindings(told: unknown): Bindings {
  if (typeof told !== "object" || told === null) return {};
  let checked: Bindings = {};
  const seen = new Set<string>();
  for (const act of NAMED) {
    const chords: unknown = Object.hasOwn(told, act) ? (told as Record<string, unknown>)[act] : undefined;
    if (!Array.isArray(chords)) continue;
    const good = chords.filter((one): one is string => typeof one === "string" && assignable(one) && !seen.has(one)).slice(0, 2);
    good.forEach((one) => seen.add(one));
    checked = { ...checked, [act]: good };
  }
  return checked;
}

const SIGNS: Readonly<Record<string, string>> = {
  BracketLeft: "[", BracketRight: "]", Semicolon: ";", Quote: "'", Comma: ",", Period: ".", Slash: "/", Backslash: "\\", Backquote: "`", Delete: "Del",
};

/** What is written on the keys of a chord. */
export function signsOf(chord: string): string[] {
  if (chord === "Shift+Slash") return ["?"];
  return chord.split("+").map((part) => SIGNS[part] ?? part.replace(/^(Key|Digit)/, ""));
}
