// Messages of the server for people in front of a browser: no paths of its disk.

const PATH = /(^|[\s"'`(=])(?:[A-Za-z]:)?(?:[\\/][^\s"'`\\/:,;()]+)+[\\/]([^\s"'`\\/:,;()]+)/g;

/** Of a path the file's name stays. */
export function plain(message: string): string {
  return message.replace(PATH, "$1$2");
}
