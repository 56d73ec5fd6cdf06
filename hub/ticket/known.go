package ticket

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"loginhub/hub/provider"
)

// A browser keeps who has logged in with it, in a cookie of the hub (number_matching:
// auto). The cookie is sealed (SealValue). Inside are entries, newest first:
//
//	CLIENT  4 bytes of the SHA-256 of the client's id
//	TAG     8 bytes, an HMAC of client and user
//	TIME    Unix seconds of the login, 4 bytes
//
// A ticket has the tags of its client, so that the scan can compare them with the user. It
// does not name the user: only who has a user's identity and a key can make the tag.
const (
	knownPurpose = "known browser"
	clientBytes  = 4
	tagBytes     = 8
	entryBytes   = clientBytes + tagBytes + 4
	maxEntries   = 16 // of a cookie
	maxKnown     = 4  // of a ticket
	maxCookie    = 512
)

// KnownLife is how long a browser remembers a login.
const KnownLife = 180 * 24 * time.Hour

type knownEntry []byte

func (e knownEntry) client() []byte { return e[:clientBytes] }
func (e knownEntry) tag() []byte    { return e[clientBytes : clientBytes+tagBytes] }
func (e knownEntry) time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(e[clientBytes+tagBytes:])), 0)
}

func clientHash(client string) []byte {
	sum := sha256.Sum256([]byte(client))
	return sum[:clientBytes]
}

// knownTag returns the tag of a client's user.
func (k Key) knownTag(client string, by provider.Identity) []byte {
	mac := hmac.New(sha256.New, k.Known)
	fmt.Fprintf(mac, "loginhub known %q %q %q %q", client, by.Provider, by.Realm, by.Subject)
	return mac.Sum(nil)[:tagBytes]
}

// openKnown returns the entries of a cookie that are not older than KnownLife; none if the
// cookie is not one that a node has sealed.
func (r *Keyring) openKnown(cookie string, now time.Time) (entries []knownEntry) {
	if len(cookie) > maxCookie {
		return nil
	}
	text, err := r.OpenValue(knownPurpose, cookie)
	if err != nil {
		return nil
	}
	return parseKnown(text, now)
}

func parseKnown(text []byte, now time.Time) (entries []knownEntry) {
	if len(text)%entryBytes != 0 || len(text) > maxEntries*entryBytes {
		return nil
	}
	for each := range slices.Chunk(text, entryBytes) {
		if e := knownEntry(each); now.Before(e.time().Add(KnownLife)) {
			entries = append(entries, e)
		}
	}
	return entries
}

// KnownUsers returns the tags of the client's users that a browser's cookie has, the newest
// ones; nil if there is none, or the cookie is forged, foreign or too old.
func (r *Keyring) KnownUsers(cookie, client string, now time.Time) (tags KnownTags) {
	hash := clientHash(client)
	for _, e := range r.openKnown(cookie, now) {
		if bytes.Equal(e.client(), hash) && len(tags) < maxKnown*tagBytes {
			tags = append(tags, e.tag()...)
		}
	}
	return tags
}

// Remember returns the cookie with the user of a confirmed ticket as its newest entry. The
// user's other entries for the client, also those under an older key, are dropped.
func (r *Keyring) Remember(cookie string, t Ticket, now time.Time) (string, error) {
	hash := clientHash(t.Client)
	all := append(bytes.Clone(hash), r.keys[r.current].knownTag(t.Client, t.Identity)...)
	all = binary.BigEndian.AppendUint32(all, uint32(now.Unix()))
	for _, e := range r.openKnown(cookie, now) {
		own := bytes.Equal(e.client(), hash) && r.isTag(e.tag(), t)
		if !own && len(all) < maxEntries*entryBytes {
			all = append(all, e...)
		}
	}
	return r.SealValue(knownPurpose, all)
}

// isTag reports whether the tag is that of the ticket's user, under any key.
func (r *Keyring) isTag(tag []byte, t Ticket) bool {
	for _, k := range r.keys {
		if hmac.Equal(tag, k.knownTag(t.Client, t.Identity)) {
			return true
		}
	}
	return false
}

// Knows reports whether the user has logged in with the ticket's browser before.
func (r *Keyring) Knows(t Ticket, by provider.Identity) bool {
	if t.Known == nil {
		return false
	}
	t.Identity = by
	for tag := range slices.Chunk(*t.Known, tagBytes) {
		if r.isTag(tag, t) {
			return true
		}
	}
	return false
}
