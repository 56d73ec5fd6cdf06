package ticket

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strconv"
)

// matchChoices is how many numbers the phone offers.
const matchChoices = 3

// matchNumbers derives the numbers of number matching from the ticket's id: code, which
// the page shows, and offered, in the order in which the phone shows them. Nothing is
// stored, and repeated calls return the same, so that repeated scans reveal nothing
// more.
func matchNumbers(key []byte, id ID) (code string, offered []string) {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("loginhub match "))
	mac.Write([]byte(id))
	sum := mac.Sum(nil)
	// The remainder of 64 bits by at most 90 has a bias below 2^-57.
	draw := func(i, n int) int {
		return int(binary.BigEndian.Uint64(sum[8*i:]) % uint64(n))
	}
	var pool [90]int // 10 to 99
	for i := range pool {
		pool[i] = 10 + i
	}
	for i := range matchChoices {
		j := i + draw(i, len(pool)-i)
		pool[i], pool[j] = pool[j], pool[i]
	}
	offered = make([]string, matchChoices)
	for i := range offered {
		offered[i] = strconv.Itoa(pool[i])
	}
	return offered[draw(matchChoices, matchChoices)], offered
}
