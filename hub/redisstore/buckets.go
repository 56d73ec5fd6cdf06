package redisstore

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"loginhub/hub/ticket"
)

// buckets is how many slots of a Cluster hold the tickets with Store.Sharded. A node
// subscribes once to each bucket, whatever the number of masters. 64 spread evenly over
// up to some twenty masters.
const buckets = 64

// bucketTags are the hash tags of the buckets, spread evenly over the slots, so that
// masters with as many slots have as many tickets.
var bucketTags = spreadTags()

func spreadTags() (tags [buckets]string) {
	const slots = 16384 / buckets
	for i := range tags {
		tags[i] = tagForSlots("b", []redis.SlotRange{{Start: int64(i * slots), End: int64((i+1)*slots - 1)}})
	}
	return tags
}

// bucketOf returns the bucket of a ticket: the first six bits of its id, which is a part
// of a hash.
func bucketOf(id ticket.ID) int {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if id == "" {
		return 0
	}
	return max(0, strings.IndexByte(alphabet, id[0]))
}

// names makes the names of the keys and channels that begin with a prefix.
type names string

// key returns the name of a key or channel.
func (n names) key(rest string) string { return string(n) + ":" + rest }

// mailbox returns the name of the node's mailbox outside the buckets.
func (n names) mailbox(node string) string { return string(n) + ":mail:" + node }

// probe probes that mailbox from the master that serves the tag's slot.
func (n names) probe(node, tag string) probeTarget {
	return probeTarget{n.key("node:{" + tag + "}" + node), n.mailbox(node), "PUBLISH"}
}

// place is where a ticket's record is in Redis.
type place struct {
	key string
	// mailboxes is the prefix of the sharded mailboxes in the key's slot; "" outside the
	// buckets.
	mailboxes string
}

// place returns the place in the ticket's bucket, or the one that every release knows.
func (n names) place(id ticket.ID, inBucket bool) place {
	if !inBucket {
		return place{key: string(n) + ":{" + string(id) + "}"}
	}
	bucket := n.key("{" + bucketTags[bucketOf(id)] + "}:")
	return place{key: bucket + string(id), mailboxes: bucket + "mail:"}
}

// shardMailbox returns the name of the node's sharded mailbox in a bucket.
func (n names) shardMailbox(bucket int, node string) string {
	return n.key("{" + bucketTags[bucket] + "}:mail:" + node)
}

// bucketOfMailbox returns the bucket of a sharded mailbox.
func bucketOfMailbox(name string) (bucket int, ok bool) {
	_, rest, _ := strings.Cut(name, "{")
	tag, _, _ := strings.Cut(rest, "}")
	bucket = slices.Index(bucketTags[:], tag)
	return bucket, bucket >= 0
}

// runTickets makes n calls, one per ticket, and passes each reply to found: what is stored, and
// whether the script has made its change. In a Cluster a ticket may be at either place,
// because nodes with another value of Sharded have made it: what is not at the likelier
// place is looked for at the other one.
func (s *Store) runTickets(ctx context.Context, n int, run func(context.Context, []*call) error, build func(i int, inBucket bool) *call, found func(i int, stored ticket.Stored, done bool)) error {
	var one [1]int
	left := one[:0] // numbers of the calls
	for i := range n {
		left = append(left, i)
	}
	for _, inBucket := range s.places() {
		if len(left) == 0 {
			break
		}
		calls := build(left[0], inBucket).alone()
		for _, i := range left[1:] {
			calls = append(calls, build(i, inBucket))
		}
		if err := run(ctx, calls); err != nil {
			return err
		}
		missing := left[:0]
		for at, i := range left {
			stored, status, err := parseReply(calls[at].cmd)
			if err != nil {
				return err
			}
			if found(i, stored, status == 1); stored.Sealed == nil && status != 1 {
				missing = append(missing, i)
			}
		}
		left = missing
	}
	return nil
}

// places returns where tickets may be, the likelier place first: in a bucket or not.
func (s *Store) places() []bool {
	if _, cluster := s.client.(*redis.ClusterClient); !cluster {
		return []bool{false}
	}
	return []bool{s.Sharded, !s.Sharded}
}

// tagForSlots returns the first of prefix0, prefix1, … whose slot is in one of the
// ranges.
func tagForSlots(prefix string, ranges []redis.SlotRange) string {
	for n := 0; ; n++ {
		tag := prefix + strconv.Itoa(n)
		slot := int64(crc16(tag)) % 16384
		for _, r := range ranges {
			if r.Start <= slot && slot <= r.End {
				return tag
			}
		}
	}
}

// crc16 returns the CRC16-CCITT (XMODEM), which Redis Cluster uses for key slots.
func crc16(s string) (crc uint16) {
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
