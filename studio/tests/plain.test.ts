import { describe, expect, it } from "vitest";
import { plain } from "../src/api/plain";

describe("messages of the server", () => {
  it("show no path of its disk", () => {
    expect(plain("cannot tell the format of /tmp/a-b/x.y/notes.txt: choose the format")).toBe("cannot tell the format of notes.txt: choose the format");
    expect(plain("'/home/me/project/photos/cat.jpg' is no photo")).toBe("'cat.jpg' is no photo");
    expect(plain("C:\\data\\set\\a.json is damaged")).toBe("a.json is damaged");
  });

  it("keep everything else", () => {
    for (const said of ["image/png is expected", "12/40 done", "see https://example.org/a/b", "expected 0 to 1, got 3"]) expect(plain(said)).toBe(said);
  });
});
