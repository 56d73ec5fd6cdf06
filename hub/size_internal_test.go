package hub

import (
	"testing"
	"unsafe"
)

// TestSlot_SizeClass: a waiting browser costs one slot and one socket. Go allocates in
// size classes: one word more, and each takes the next class.
func TestSlot_SizeClass(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n > 480 {
		t.Errorf("a slot has %d bytes, and takes 512", n)
	}
	if n := unsafe.Sizeof(socket{}); n > 128 {
		t.Errorf("a socket has %d bytes, and takes 144", n)
	}
}
