import { describe, expect, it } from "vitest";
import { ACTS, NAMED, assignable, bound, checkedBindings, keysOf, ownerOf, signsOf } from "../src/keys/acts";
import { QUIET, actOf } from "../src/keys/keymap";

const key = (code: string, more: Partial<KeyboardEvent> = {}): KeyboardEvent =>
  ({ code, key: code, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...more }) as KeyboardEvent;

describe("keys", () => {
  it("leave the browser's own alone", () => {
    for (const code of ["KeyW", "KeyT", "KeyN", "KeyR", "KeyL", "KeyC", "KeyV"]) expect(actOf(key(code, { ctrlKey: true }), QUIET)).toBeNull();
    expect(actOf(key("Tab"), QUIET)).toBeNull();
  });

  it("pick candidates while there are some, classes otherwise", () => {
    expect(actOf(key("Digit2"), QUIET)).toBe("class-2");
    expect(actOf(key("Digit2"), { ...QUIET, making: true, candidates: 3 })).toBe("pick-2");
    expect(actOf(key("Digit3"), { ...QUIET, making: true, candidates: 1 })).toBe("class-3");
    expect(actOf(key("Tab"), { ...QUIET, making: true, candidates: 3 })).toBe("next-candidate");
  });

  it("move the crosshair or a corner when it is there, photos otherwise", () => {
    expect(actOf(key("ArrowRight"), QUIET)).toBe("next");
    expect(actOf(key("ArrowRight"), { ...QUIET, crosshair: true })).toBe("right");
    expect(actOf(key("ArrowUp", { shiftKey: true }), { ...QUIET, crosshair: true })).toBe("up-far");
    expect(actOf(key("Equal", { key: "+", shiftKey: true }), { ...QUIET, crosshair: true })).toBe("include");
    expect(actOf(key("ArrowLeft"), { ...QUIET, making: true, corners: true })).toBe("left");
    expect(actOf(key("Tab", { shiftKey: true }), { ...QUIET, making: true, corners: true })).toBe("previous-candidate");
  });

  it("that acts come with may all be given, and none of them twice", () => {
    const all = NAMED.flatMap((act) => ACTS[act].keys);
    expect(new Set(all).size).toBe(all.length);
    expect(all.filter((chord) => !assignable(chord))).toEqual([]);
  });
});

describe("a person's own keys", () => {
  it("take the place of those an act came with, and of whoever had them", () => {
    const mine = bound("tool-brush", "KeyS", {});
    expect(actOf(key("KeyS"), QUIET, mine)).toBe("tool-brush");
    expect(actOf(key("KeyB"), QUIET, mine)).toBeNull();
    expect(keysOf("tool-click", mine)).toEqual([]);
    expect(ownerOf("KeyS", mine)).toBe("tool-brush");
    expect(actOf(key("KeyS"), QUIET)).toBe("tool-click");
  });

  it("cannot be the browser's, nor those with a meaning of their own", () => {
    for (const chord of ["Ctrl+KeyW", "Ctrl+Shift+KeyT", "F5", "Enter", "Space", "Tab", "Escape", "ArrowLeft", "Digit1", "Equal", "Alt+KeyA"]) {
      expect(assignable(chord), chord).toBe(false);
    }
  });

  it("that were stored by somebody else are taken from a closed list only", () => {
    const told = JSON.parse('{"tool-brush": ["KeyJ", "<img src=x onerror=alert(1)>"], "evil": ["KeyA"], "undo": "KeyZ", "redo": ["KeyJ"], "__proto__": {"hide": ["KeyN"]}}') as unknown;
    expect(checkedBindings(told)).toEqual({ "tool-brush": ["KeyJ"], redo: [] });
    expect(checkedBindings("KeyA")).toEqual({});
    expect(checkedBindings(null)).toEqual({});
  });

  it("are written as on the keyboard", () => {
    expect(signsOf("Ctrl+Shift+KeyZ")).toEqual(["Ctrl", "Shift", "Z"]);
    expect(signsOf("Shift+Slash")).toEqual(["?"]);
    expect(signsOf("BracketLeft")).toEqual(["["]);
  });
});
