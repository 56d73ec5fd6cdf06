package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opText  = 0x1
	opClose = 0x8
	opPing  = 0x9
	opPong  = 0xA
)

// maxFrame bounds a server's frame, in bytes. The longest view is far smaller.
const maxFrame = 64 << 10

var errFrame = errors.New("not a frame that a server sends to a page")

// readFrame reads one whole frame. Views are never fragmented, so a fragment is
// an error; so is a masked frame (section 5.1).
func readFrame(r *bufio.Reader) (op byte, payload []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:2]); err != nil {
		return 0, nil, err
	}
	const fin, mask = 0x80, 0x80
	if head[0]&0xF0 != fin || head[1]&mask != 0 {
		return 0, nil, fmt.Errorf("%x: %w", head[:2], errFrame)
	}
	op = head[0] & 0x0F
	length := uint64(head[1])
	switch length {
	case 126:
		_, err = io.ReadFull(r, head[:2])
		length = uint64(binary.BigEndian.Uint16(head[:]))
	case 127:
		_, err = io.ReadFull(r, head[:8])
		length = binary.BigEndian.Uint64(head[:])
	}
	if err != nil {
		return 0, nil, unexpected(err)
	}
	if length > maxFrame {
		return 0, nil, fmt.Errorf("%d bytes: %w", length, errFrame)
	}
	payload = make([]byte, length)
	if _, err := io.ReadFull(r, payload); err != nil {
		return 0, nil, unexpected(err)
	}
	return op, payload, nil
}

// unexpected turns io.EOF in the middle of a frame into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends one masked frame, as a browser sends it. The payload must be
// shorter than 126 bytes, as all messages of a page are.
func appendFrame(b []byte, op byte, payload []byte) []byte {
	if len(payload) > 125 {
		payload = payload[:125]
	}
	key := binary.BigEndian.AppendUint32(nil, rand.Uint32())
	b = append(b, 0x80|op, 0x80|byte(len(payload)))
	b = append(b, key...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}
