/**
 * What the browser remembers for a person: the name for next time, the
 * password as long as the tab lives. A browser that refuses storage, as some
 * do in private windows, forgets; nothing else depends on it.
 */

const NAME = "arpc-chat.name";
const PASSWORD = "arpc-chat.password";

/** The name used last, or an empty string. */
export function rememberedName(): string {
  return read(() => localStorage, NAME);
}

/** Remembers a name beyond this visit. */
export function rememberName(name: string): void {
  write(() => localStorage, NAME, name);
}

/** The password used in this tab, or an empty string. */
export function rememberedPassword(): string {
  return read(() => sessionStorage, PASSWORD);
}

/** Remembers a password for this tab. */
export function rememberPassword(password: string): void {
  write(() => sessionStorage, PASSWORD, password);
}

// The very access to a storage throws where it is refused, hence the functions.
function read(storage: () => Storage, key: string): string {
  try {
    return storage().getItem(key) ?? "";
  } catch {
    return "";
  }
}

function write(storage: () => Storage, key: string, value: string): void {
  try {
    storage().setItem(key, value);
  } catch {
    // Refused or full: then it is asked for again.
  }
}
