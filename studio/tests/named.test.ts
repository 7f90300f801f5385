import { describe, expect, it } from "vitest";
import { categoryOf, startOf } from "../src/state/named";

describe("what words found", () => {
  it("gets the class of that name, else the one chosen, else the name itself", () => {
    const classes = [{ name: "Cat" }, { name: "개" }];
    expect(categoryOf("고양이", "cat", classes, null)).toBe("Cat");
    expect(categoryOf("개", "dog", classes, "Cat")).toBe("개");
    expect(categoryOf("zebra", "zebra", classes, "Cat")).toBe("Cat");
    expect(categoryOf("얼룩말", "zebra", [], null)).toBe("zebra");
    expect(categoryOf(" red thing ", undefined, [], null)).toBe("red thing");
  });

  it("is shown from what is wanted on, and the best one always", () => {
    const found = (...all: number[]): { probability: number }[] => all.map((probability) => ({ probability }));
    expect(startOf(0.5, found(0.9, 0.2))).toBe(0.5);
    expect(startOf(0.5, found(0.376, 0.2))).toBe(0.37);
    expect(startOf(0.5, [])).toBe(0);
  });
});
