import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pictureOf } from '../widget/picture.js'

test('picture: only a verified one, over https, from a host of the provider', () => {
  const pictureHosts = ['a.example', '*.b.example']
  const verified = true
  const good = 'https://a.example/x.png'
  for (const [user, want] of [
    [{ verified, avatar_url: good }, good],
    [{ verified, avatar_url: 'https://s1.b.example/x.png' }, 'https://s1.b.example/x.png'],
    [{ avatar_url: good }, ''],
    [{ verified }, ''],
    [undefined, ''],
    ...['http://a.example/x.png', 'https://a.example:8443/x', 'https://a.example.evil.example/', 'https://x.a.example/',
      'https://b.example/', 'https://evilb.example/', 'https://*.b.example@evil.example/', 'data:image/png,x', '/x.png', 'https://'].map((url) => [{ verified, avatar_url: url }, '']),
  ]) assert.equal(pictureOf({ state: 'scanned', user, pictureHosts }), want, user?.avatar_url)
  assert.equal(pictureOf({ state: 'scanned', user: { verified, avatar_url: good } }), '') // of an earlier hub
})
