import { readFileSync, readdirSync } from 'node:fs'

const dir = new URL('../messages/', import.meta.url)

/** The catalogue, by language tag. */
export const messages = Object.fromEntries(readdirSync(dir).filter((name) => name.endsWith('.json'))
  .map((name) => [name.slice(0, -'.json'.length), JSON.parse(readFileSync(new URL(name, dir), 'utf8'))]))
export const LANGUAGES = Object.keys(messages)
