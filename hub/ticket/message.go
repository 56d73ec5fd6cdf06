package ticket

import (
	"bytes"
	"strconv"
)

// Messages in a node's mailbox:
//
//	tTICKETSEALED   update: the ticket's id, then its new sealed record, which
//	                begins with its version (seal.go)
//	pNONCE.I        liveness probe of round NONCE, published by master I
//
// Everybody who can publish in Redis can send both. An update is used only if its
// seal is valid. A forged probe only shows that the subscription delivers, which
// is true then.

// UpdateHead returns the beginning of the message that announces a ticket's new version.
// The sealed record follows.
func UpdateHead(id ID) string { return "t" + string(id) }

// EncodeUpdate returns the whole message.
func EncodeUpdate(id ID, sealed []byte) []byte { return append([]byte(UpdateHead(id)), sealed...) }

// EncodeProbe returns the liveness probe of one round, published by one master.
func EncodeProbe(nonce string, master int) []byte {
	return strconv.AppendInt([]byte("p"+nonce+"."), int64(master), 10)
}

// DecodeUpdate splits an update into the ticket's id and the sealed record. The caller
// must pass both to Keyring.Open, which also checks the length.
func DecodeUpdate(m []byte) (id ID, sealed []byte, ok bool) {
	if len(m) <= 1+IDLength || m[0] != 't' {
		return "", nil, false
	}
	return ID(m[1 : 1+IDLength]), m[1+IDLength:], true
}

// DecodeProbe splits a liveness probe into its nonce and the master's number.
func DecodeProbe(m []byte) (nonce string, master int, ok bool) {
	if len(m) > 64 || !bytes.HasPrefix(m, []byte("p")) {
		return "", 0, false
	}
	head, tail, _ := bytes.Cut(m[1:], []byte("."))
	n, err := strconv.Atoi(string(tail))
	return string(head), n, err == nil && n >= 0
}
