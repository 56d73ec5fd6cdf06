package hub

import (
	"testing"
	"unsafe"
)

// TestSlot_SizeClass: a waiting browser costs one of each. Go allocates in
// size classes: one word more, and each takes the next class. A version refers to no other
// memory of its own but its texts.
func TestSlot_SizeClass(t *testing.T) {
	for name, n := range map[string][2]uintptr{"slot": {unsafe.Sizeof(slot{}), 96}, "version": {unsafe.Sizeof(version{}), 448},
		"socket": {unsafe.Sizeof(socket{}), 96}, "conn": {unsafe.Sizeof(conn{}), 96}} {
		if n[0] > n[1] {
			t.Errorf("a %s has %d bytes, more than %d", name, n[0], n[1])
		}
	}
}
