import { describe, expect, it } from "vitest";
import { Flash, Glide } from "../src/canvas/motion";
import { toPhoto, toScreen, zoomAt } from "../src/canvas/view";

describe("a glide", () => {
  const from = { scale: 0.4, x: 30, y: -20 };

  it("begins where the view is, ends where it goes, and is over then", () => {
    const to = { scale: 2, x: -300, y: 44 };
    const glide = new Glide(from, to, 1000);
    const first = glide.at(1000);
    expect(first.view.scale).toBeCloseTo(from.scale);
    expect(first.view.x).toBeCloseTo(from.x);
    expect(first.done).toBe(false);
    expect(glide.at(5000)).toEqual({ view: to, done: true });
  });

  it("of a zoom keeps the place that is zoomed at", () => {
    const at = { x: 640, y: 360 };
    const held = toPhoto(from, at);
    const glide = new Glide(from, zoomAt(from, at, 3.5, 0.01), 0);
    for (const now of [10, 50, 90, 150]) {
      const { x, y } = toScreen(glide.at(now).view, held);
      expect(x).toBeCloseTo(at.x);
      expect(y).toBeCloseTo(at.y);
    }
  });

  it("without a zoom goes straight", () => {
    const glide = new Glide(from, { ...from, x: 130, y: 80 }, 0);
    const { view } = glide.at(60);
    expect(view.scale).toBeCloseTo(from.scale);
    expect(view.x - from.x).toBeCloseTo(view.y - from.y);
  });
});

it("a flash fades away", () => {
  const flash = new Flash([], 0);
  expect([0, 300, 600, 900].map((now) => flash.strength(now))).toEqual([1, 0.5, 0, 0]);
});
