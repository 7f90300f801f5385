// The gaps of a text: `{n}` is the value, `{n|mask|masks}` one word for one and another for any other number.

export type Values = Readonly<Record<string, string | number>>;

export function fill(text: string, values: Values): string {
  return text
    .replace(/\{(\w+)\|([^|}]*)\|([^}]*)\}/g, (_, name: string, one: string, more: string) => (String(values[name]) === "1" ? one : more))
    .replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}
