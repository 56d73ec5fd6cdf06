package ticket

import (
	"bytes"
	"strconv"
)

// What arrives in a node's mailbox:
//
//	tTICKETSEALED   a ticket's new version: its id, then the sealed record, which
//	                begins with its version (seal.go)
//	pNONCE.I        the node's own proof of round NONCE, from master I
//
// Anybody who can publish in Redis can send either. The first is opened before
// it is believed; the second says only that the mailbox hears, which is then true.

// EncodeUpdate is the message that a ticket has changed.
func EncodeUpdate(id ID, sealed []byte) []byte {
	m := make([]byte, 0, 1+len(id)+len(sealed))
	m = append(m, 't')
	m = append(m, id...)
	return append(m, sealed...)
}

// EncodeProbe is the message of one proof from one master.
func EncodeProbe(nonce string, master int) []byte {
	return strconv.AppendInt([]byte("p"+nonce+"."), int64(master), 10)
}

// DecodeUpdate takes a message apart: a ticket's id and sealed record, which are
// still to be opened. The length is Open's affair.
func DecodeUpdate(m []byte) (id ID, sealed []byte, ok bool) {
	if len(m) <= 1+IDLength || m[0] != 't' {
		return "", nil, false
	}
	return ID(m[1 : 1+IDLength]), m[1+IDLength:], true
}

// DecodeProbe takes a proof apart.
func DecodeProbe(m []byte) (nonce string, master int, ok bool) {
	if len(m) > 64 || !bytes.HasPrefix(m, []byte("p")) {
		return "", 0, false
	}
	head, tail, _ := bytes.Cut(m[1:], []byte("."))
	n, err := strconv.Atoi(string(tail))
	return string(head), n, err == nil && n >= 0
}
