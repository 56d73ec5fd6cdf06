package hub

import (
	"encoding/binary"

	"github.com/coder/websocket"
)

// First bytes of the frames (RFC 6455, section 5.2) that conn writes and reads itself.
// FIN is set and no reserved bit.
const (
	frameText  = 0x81
	frameClose = 0x88
	framePong  = 0x8a
)

const (
	maskBit  = 0x80
	maxShort = 125 // the longest payload whose length is in the second byte
	length16 = 126
	length64 = 127
	maskLen  = 4
	headLen  = 2 + maskLen // of a short masked frame
)

// appendFrame appends an unmasked frame, as servers write it.
func appendFrame(to []byte, first byte, payload []byte) []byte {
	switch n := len(payload); {
	case n <= maxShort:
		to = append(to, first, byte(n))
	case n < 1<<16:
		to = binary.BigEndian.AppendUint16(append(to, first, length16), uint16(n))
	default:
		to = binary.BigEndian.AppendUint64(append(to, first, length64), uint64(n))
	}
	return append(to, payload...)
}

// closeFrame returns a close frame. The reason is a constant of at most 123 bytes.
func closeFrame(code websocket.StatusCode, reason string) []byte {
	return appendFrame(nil, frameClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// cutFrame returns the frame at the beginning of b, with its payload unmasked in place,
// if it is one of those that browsers usually send: a short text, a pong, or a close
// with 1000, 1001 or no code. Otherwise ok is false and b is not changed: the frame is
// incomplete, or the library must handle it.
func cutFrame(b []byte) (first byte, payload, rest []byte, ok bool) {
	if len(b) < headLen || b[1] < maskBit || b[1]-maskBit > maxShort {
		return 0, nil, b, false
	}
	end := headLen + int(b[1]-maskBit)
	if len(b) < end {
		return 0, nil, b, false
	}
	mask, payload := b[2:headLen], b[headLen:end]
	switch b[0] {
	case frameText, framePong:
	case frameClose:
		if len(payload) == 0 {
			break
		}
		if len(payload) == 1 {
			return 0, nil, b, false
		}
		code := websocket.StatusCode(binary.BigEndian.Uint16([]byte{payload[0] ^ mask[0], payload[1] ^ mask[1]}))
		if code != websocket.StatusNormalClosure && code != websocket.StatusGoingAway {
			return 0, nil, b, false
		}
	default:
		return 0, nil, b, false
	}
	for i := range payload {
		payload[i] ^= mask[i%maskLen]
	}
	return b[0], payload, b[end:], true
}
