package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func serverFrame(op byte, payload string) []byte {
	b := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		b = append(b, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

func TestReadFrame_Lengths(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		want := strings.Repeat("x", n)
		raw := append(serverFrame(opText, want), serverFrame(opPing, "next")...)
		r := bufio.NewReaderSize(bytes.NewReader(raw), 16)
		op, got, err := readFrame(r)
		if err != nil || op != opText || string(got) != want {
			t.Fatalf("%d bytes: op %d, %d bytes, %v", n, op, len(got), err)
		}
		if op, got, err := readFrame(r); err != nil || op != opPing || string(got) != "next" {
			t.Fatalf("after %d bytes: op %d, %q, %v", n, op, got, err)
		}
		if _, _, err := readFrame(r); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
	}
}

func TestReadFrame_Invalid(t *testing.T) {
	for name, raw := range map[string][]byte{
		"fragment":     {opText, 1, 'x'},
		"reserved":     {0xC0 | opText, 1, 'x'},
		"masked":       {0x80 | opText, 0x81, 1, 2, 3, 4, 'x'},
		"far too long": {0x80 | opText, 127, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(raw))); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	whole := serverFrame(opText, strings.Repeat("x", 300))
	for cut := 1; cut < len(whole); cut++ {
		if _, _, err := readFrame(bufio.NewReader(bytes.NewReader(whole[:cut]))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut after %d: %v", cut, err)
		}
	}
}

func TestAppendFrame_Masked(t *testing.T) {
	const text = `{"ack":3}`
	b := appendFrame(nil, opText, []byte(text))
	if b[0] != 0x80|opText || b[1] != 0x80|byte(len(text)) {
		t.Fatalf("head %x", b[:2])
	}
	for i := range text {
		if b[6+i]^b[2+i%4] != text[i] {
			t.Fatalf("byte %d", i)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add(serverFrame(opText, "hello"))
	f.Add(serverFrame(opClose, strings.Repeat("x", 300)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(raw), 16)
		for {
			op, payload, err := readFrame(r)
			if err != nil {
				return
			}
			if op > 0x0F || len(payload) > maxFrame {
				t.Fatalf("op %d, %d bytes", op, len(payload))
			}
		}
	})
}
