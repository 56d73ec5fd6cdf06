package hub

import (
	"testing"
	"unsafe"
)

// A page that waits costs one slot and one socket. Go hands memory out in size
// classes: one word above these and each page costs the next class.
func TestSlot_SizeClass(t *testing.T) {
	if n := unsafe.Sizeof(slot{}); n > 480 {
		t.Errorf("a slot has %d bytes, and takes 512", n)
	}
	if n := unsafe.Sizeof(socket{}); n > 128 {
		t.Errorf("a socket has %d bytes, and takes 144", n)
	}
}
