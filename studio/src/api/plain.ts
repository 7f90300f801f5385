// Messages of the server for people in front of a browser: no paths of its disk, no options of its command line.

const PATH = /(^|[\s"'`(=])(?:[A-Za-z]:)?(?:[\\/][^\s"'`\\/:,;()]+)+[\\/]([^\s"'`\\/:,;()]+)/g;
const OPTION = /[:;,]?\s*(?:say|read|write|give) it (?:with|as) --[a-z-]+(?:\s*\([^)]*\)|\s+[a-z0-9-]+)?/g;

/** Of a path the file's name stays. */
export function plain(message: string): string {
  return message.replace(OPTION, "").replace(PATH, "$1$2");
}
