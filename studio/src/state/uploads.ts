// Photos from the disk of a person to the project.

import { post } from "../api/client";
import { plain } from "../api/plain";
import { t } from "../i18n/index.svelte";
import { app } from "./app.svelte";

const AT_ONCE = 8;

export async function uploadPhotos(files: readonly File[]): Promise<void> {
  let [fresh, known] = [0, 0];
  try {
    for (let i = 0; i < files.length; i += AT_ONCE) {
      const form = new FormData();
      for (const file of files.slice(i, i + AT_ONCE)) form.append("files", file, file.name);
      const answer = await post<{ new: number; known: number; failures: { name: string; why: string }[] }>("/images", form);
      fresh += answer.new;
      known += answer.known;
      for (const { name, why } of answer.failures) app.tell(t("gallery.failed", { name, why: plain(why) }), "error");
    }
  } catch (error) {
    app.fail(error);
  }
  if (fresh || known) app.tell(t("gallery.added", { n: fresh, known }));
  await Promise.all([app.reload(), app.loadPhotos()]);
}
