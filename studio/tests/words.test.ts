import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { en } from "../src/i18n/en";
import { fill } from "../src/i18n/fill";
import { ko } from "../src/i18n/ko";
import { ActiveTime } from "../src/state/active-time";

const names = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]!).sort();

describe("words", () => {
  it("have the same gaps in both languages and are translated", () => {
    for (const [key, text] of Object.entries(en)) {
      expect(names(ko[key as keyof typeof en]), key).toEqual(names(text));
      if (/[A-Za-z]{4}/.test(text.replace(/\{\w+\}|anymask|\.zip/g, ""))) expect(ko[key as keyof typeof en], key).toMatch(/[가-힣]/);
    }
  });

  it("are one for one, and another for more", () => {
    expect([0, 1, 2].map((n) => fill(en["say.found"], { n }))).toEqual(["0 masks found", "1 mask found", "2 masks found"]);
    expect(fill("{name}: {missing}", { name: "{n|a|b}" })).toBe("{n|a|b}: {missing}");
  });

  it("on the list are all used", () => {
    const root = join(import.meta.dirname, "../src");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => /\.(ts|svelte)$/.test(name) && !/i18n\/(en|ko)/.test(name));
    const source = files.map((name) => readFileSync(join(root, name), "utf8")).join("\n");
    const families = [...source.matchAll(/`(\w+(?:\.\w+)*\.)\$\{/g)].map((found) => found[1]!);
    const unused = Object.keys(en).filter((key) => !source.includes(`"${key}"`) && !source.includes(`{${key}}`) && !families.some((family) => key.startsWith(family)));
    expect(unused).toEqual([]);
  });
});

describe("time at work", () => {
  it("counts no pause longer than five seconds", () => {
    const time = new ActiveTime();
    for (const now of [0, 1000, 3000, 63_000]) time.tick(now);
    expect(time.takeMask()).toBe(8);
    time.tick(64_000);
    expect(time.takeMask()).toBe(1);
    expect(time.takePhoto()).toBe(9);
  });
});
