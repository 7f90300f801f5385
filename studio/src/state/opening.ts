// A photo comes onto the stage: first as it is shown in a window, then finer as somebody looks closer.

import { picture, urls } from "../api/client";
import type { PhotoInfo } from "../api/types";
import { Photo } from "../canvas/photo";
import type { Stage } from "../canvas/stage";
import type { Source } from "../canvas/tiles";

/** `moved`: is told whenever the view changes. */
export function showPhoto(image: PhotoInfo, display: ImageBitmap, stage: Stage, source: Source, moved: () => void): void {
  const { id, hash, width, height, tiles } = image;
  const load = (level: number, x: number, y: number): Promise<ImageBitmap> => picture(urls.tile(id, hash, level, x, y));
  const photo = new Photo(width, height, display, tiles?.levels ?? [], load, () => stage.redraw("base"));
  stage.open(photo, source);
  let finer = display.width < width && !tiles;
  stage.moved = () => {
    moved();
    if (!finer || stage.view.scale * (window.devicePixelRatio || 1) * width < display.width * 1.15) return;
    finer = false;
    void picture(urls.photo(id, hash, "full")).then((full) => {
      photo.show(full);
      stage.touch({ x0: 0, y0: 0, x1: 0, y1: 0 });
    });
  };
}
