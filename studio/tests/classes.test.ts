import { describe, expect, it } from "vitest";
import { toFix } from "../src/state/classes";

const named = (...names: string[]): { name: string }[] => names.map((name) => ({ name }));

describe("classes of the project", () => {
  it("need a name each, and one of their own", () => {
    expect(toFix(named("cat", "dog"))).toBeNull();
    expect(toFix(named("cat", "  "))).toMatchObject({ at: 1, word: "settings.noname" });
    expect(toFix(named("cat", "dog", " cat "))).toEqual({ at: 2, word: "settings.twice", name: "cat" });
  });
});
