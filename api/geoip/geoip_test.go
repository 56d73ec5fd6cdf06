package geoip_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"loginhub/api/geoip"
	"loginhub/api/geoip/geoiptest"
)

// open writes a database of the places and opens it.
func open(tb testing.TB, places map[string]mmdbtype.Map) (*geoip.DB, string) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "city.mmdb")
	if err := geoiptest.Write(path, 1, places); err != nil {
		tb.Fatal(err)
	}
	db, err := geoip.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	return db, path
}

func TestLookup(t *testing.T) {
	places := geoiptest.Places()
	places["192.0.2.0/28"] = mmdbtype.Map{"country": mmdbtype.String("FR"), "country_name": mmdbtype.String("France"), "city": mmdbtype.String("Lyon")} // IPinfo, location
	places["192.0.2.16/28"] = mmdbtype.Map{"country": mmdbtype.String("France"), "country_code": mmdbtype.String("FR"), "asn": mmdbtype.String("AS1")}  // IPinfo, lite
	places["192.0.2.32/28"] = mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("sg"), "names": mmdbtype.Map{"en": mmdbtype.String("Singapore")}}, "city": mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String("Singapore")}}}
	places["192.0.2.48/28"] = geoiptest.City("AA", [2]string{"\u202eevil\n", "中国\x00"}, [2]string{strings.Repeat("x", 200), "\u200b"}, 0, 0, 1)
	places["192.0.2.64/28"] = geoiptest.City("-", [2]string{"-", "-"}, [2]string{"-", "-"}, 0, 0, 0) // IP2Location, unknown
	places["192.0.2.80/28"] = mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("NO")}}
	places["192.0.2.112/28"] = geoiptest.City("zz", [2]string{"Unknown", "-"}, [2]string{}, 0, 0, 0)                     // DB-IP, unknown
	places["192.0.2.128/28"] = geoiptest.City("JP", [2]string{"Japan", "日本"}, [2]string{"-", "-"}, 0, 0, 0)              // IP2Location, unknown city
	places["192.0.2.144/28"] = mmdbtype.Map{"country_code": mmdbtype.String("GB"), "city": mmdbtype.String("Bracknell")} // ip-location-db
	places["192.0.2.96/28"] = mmdbtype.Map{"country": mmdbtype.Uint32(7)}
	db, _ := open(t, places)
	for _, c := range []struct{ addr, country, en, zh string }{
		{"203.0.113.7", "CN", "Shanghai, China", "中国 上海"},
		{"::ffff:203.0.113.7", "CN", "Shanghai, China", "中国 上海"},
		{"2001:db8:cafe::1%eth0", "DE", "Munich, Germany", "德国 慕尼黑"},
		{"192.0.2.1", "FR", "Lyon, France", "Lyon, France"},
		{"192.0.2.17", "FR", "France", "France"},
		{"192.0.2.33", "SG", "Singapore", "Singapore"},
		{"192.0.2.49", "AA", strings.Repeat("x", 64) + ", evil", "中国 " + strings.Repeat("x", 64)},
		{"192.0.2.65", "", "", ""},
		{"192.0.2.81", "NO", "NO", "NO"},
		{"192.0.2.97", "", "", ""},
		{"192.0.2.113", "", "", ""},
		{"192.0.2.129", "JP", "Japan", "日本"},
		{"192.0.2.145", "GB", "Bracknell, GB", "Bracknell, GB"},
		{"192.0.2.200", "", "", ""}, // in no network
		{"2001:db8::1", "", "", ""},
		{"10.0.0.1", "", "", ""},
	} {
		p := db.Lookup(netip.MustParseAddr(c.addr))
		if p.Country != c.country || p.Text("en") != c.en || p.Text("zh-CN") != c.zh || p.Text("zh_TW") != c.zh || p.Text("ar") != c.en {
			t.Errorf("%s: %q, %q, %q; want %q, %q, %q", c.addr, p.Country, p.Text("en"), p.Text("zh-CN"), c.country, c.en, c.zh)
		}
	}
	if got := db.Lookup(netip.Addr{}); got != (geoip.Place{}) {
		t.Errorf("no address: %v", got)
	}
	if got := (*geoip.DB)(nil).Lookup(netip.MustParseAddr("203.0.113.7")); got != (geoip.Place{}) {
		t.Errorf("no database: %v", got)
	}
}

// TestFixture_IsCurrent: testdata/city.mmdb, for the browser tests, is what package geoiptest writes. WRITE_DOCS=1 writes it.
func TestFixture_IsCurrent(t *testing.T) {
	const fixture = "testdata/city.mmdb"
	if os.Getenv("WRITE_DOCS") != "" {
		if err := geoiptest.Write(fixture, 1, geoiptest.Places()); err != nil {
			t.Fatal(err)
		}
	}
	_, path := open(t, geoiptest.Places())
	want, err := os.ReadFile(path)
	got, err2 := os.ReadFile(fixture)
	if err != nil || err2 != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is old (%v, %v): WRITE_DOCS=1 go test -run TestFixture_IsCurrent ./api/geoip", fixture, err, err2)
	}
}

func TestFar(t *testing.T) {
	places := geoiptest.Places()
	china := [2]string{"China", "中国"}
	places["192.0.2.0/28"] = geoiptest.City("CN", china, [2]string{}, 34.77, 113.72, 1000) // only the country is known
	places["192.0.2.16/28"] = mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String("CN")}}
	places["192.0.2.80/28"] = geoiptest.City("CN", china, [2]string{}, 34.77, 113.72, 50) // likewise, with a radius as small as a city's
	flat := func(city string, lat, lon mmdbtype.DataType) mmdbtype.Map {                  // ip-location-db; IPinfo has texts
		return mmdbtype.Map{"country_code": mmdbtype.String("CN"), "city": mmdbtype.String(city), "latitude": lat, "longitude": lon}
	}
	places["192.0.2.32/28"] = flat("Harbin", mmdbtype.Float32(45.75), mmdbtype.Float32(126.65))
	places["192.0.2.48/28"] = flat("", mmdbtype.Float32(34.77), mmdbtype.Float32(113.72))
	places["192.0.2.64/28"] = flat("Harbin", mmdbtype.String("45.75"), mmdbtype.String("126.65"))
	db, _ := open(t, places)
	const shanghai, suzhou, beijing, berlin, munich, country, bare, unknown = "203.0.113.7", "203.0.113.130", "203.0.113.200", "198.51.100.1", "2001:db8:cafe::1", "192.0.2.1", "192.0.2.17", "192.0.2.200"
	for _, c := range []struct {
		a, b string
		far  bool
	}{
		{shanghai, shanghai, false}, {shanghai, suzhou, false}, {shanghai, beijing, true}, {suzhou, berlin, true}, {berlin, munich, true},
		{shanghai, country, false}, {shanghai, bare, false}, {bare, berlin, true}, {country, berlin, true},
		{shanghai, unknown, false}, {unknown, unknown, false},
		{shanghai, "192.0.2.33", true}, {shanghai, "192.0.2.49", false}, {shanghai, "192.0.2.65", false}, {shanghai, "192.0.2.81", false}, {berlin, "192.0.2.65", true},
	} {
		a, b := db.Lookup(netip.MustParseAddr(c.a)), db.Lookup(netip.MustParseAddr(c.b))
		if geoip.Far(a, b) != c.far || geoip.Far(b, a) != c.far {
			t.Errorf("%s, %s: far is not %v", c.a, c.b, c.far)
		}
	}
}

// endless returns a database of 2^128 networks without data: both records of each node lead to the next node, and those
// of the last one to nothing. The metadata are those of the whole database, with another number of nodes.
func endless(t *testing.T, whole []byte) (data []byte) {
	const nodes = 128
	for i := range byte(nodes) {
		data = append(data, 0, 0, i+1, 0, 0, i+1)
	}
	data = append(data, make([]byte, 16)...) // the separator
	const name = "\x4anode_count"
	at := bytes.LastIndex(whole, []byte("\xab\xcd\xefMaxMind.com"))
	head, tail, found := bytes.Cut(whole[at:], []byte(name))
	if !found || tail[0]>>5 != 6 { // a number of four bytes
		t.Fatalf("metadata %q", whole[at:])
	}
	data = append(append(append(data, head...), name...), 0xc1, nodes)
	return append(data, tail[1+tail[0]&0x1f:]...)
}

func TestOpen_RefusesWhatIsNoDatabase(t *testing.T) {
	_, path := open(t, geoiptest.Places())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	asn := filepath.Join(dir, "asn.mmdb")
	if err := geoiptest.Write(asn, 1, map[string]mmdbtype.Map{"203.0.113.0/24": {"autonomous_system_number": mmdbtype.Uint32(1)}}); err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return at
	}
	huge := write("huge", nil)
	if err := os.Truncate(huge, 1<<30+1); err != nil { // sparse
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"):               "no such file",
		dir:                                      "not a regular file",
		write("empty", nil):                      "not a whole MaxMind DB file",
		write("half", whole[:len(whole)/2]):      "not a whole MaxMind DB file",
		write("tail", whole[len(whole)/2:]):      "",
		write("zip", []byte("PK\x03\x04")):       "not a whole MaxMind DB file",
		write("zeros", make([]byte, len(whole))): "not a whole MaxMind DB file",
		huge:                                     "larger than",
		write("endless", endless(t, whole)):      "no countries",
		asn:                                      "no countries",
	} {
		if _, err := geoip.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", filepath.Base(path), err, want)
		}
	}
}

func TestReload(t *testing.T) {
	db, path := open(t, geoiptest.Places())
	addr := netip.MustParseAddr("203.0.113.7")
	step := func(force, reloaded, fails bool, country string) {
		t.Helper()
		did, err := db.Reload(force)
		if did != reloaded || (err != nil) != fails || db.Lookup(addr).Country != country {
			t.Fatalf("reloaded %v, %v, %q; want %v, an error %v, %q", did, err, db.Lookup(addr).Country, reloaded, fails, country)
		}
	}
	write := func(code string) {
		t.Helper()
		if err := geoiptest.Write(path, 2, map[string]mmdbtype.Map{"203.0.113.0/24": geoiptest.City(code, [2]string{}, [2]string{}, 0, 0, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	step(false, false, false, "CN") // unchanged
	step(true, false, false, "CN")
	write("FR")
	step(false, false, false, "CN") // may still be written
	step(false, true, false, "FR")
	step(false, false, false, "FR")
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	step(false, false, false, "FR")
	step(false, false, true, "FR")
	step(false, false, false, "FR") // the same broken file is not read again
	step(true, false, true, "FR")   // unless asked to
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	step(false, false, false, "FR")
	step(false, false, true, "FR")
	write("NO")
	step(true, true, false, "NO")
	if got := db.Built().Unix(); got != 2 {
		t.Errorf("built %d", got)
	}
}

// TestLookup_DamagedFile: no byte of a file makes a lookup panic or run without end.
func TestLookup_DamagedFile(t *testing.T) {
	_, path := open(t, geoiptest.Places())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		data := append([]byte{}, whole...)
		for range 1 + random.IntN(8) {
			data[random.IntN(len(data))] = byte(random.Uint32())
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := geoip.Open(path)
		if err != nil {
			continue
		}
		for network := range geoiptest.Places() {
			if text := db.Lookup(netip.MustParsePrefix(network).Addr()).Text("zh"); len(text) > 1000 {
				t.Fatalf("%d bytes", len(text))
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	db, _ := open(b, geoiptest.Places())
	pc, phone := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("198.51.100.1")
	b.ReportAllocs()
	for b.Loop() {
		place := db.Lookup(pc)
		if place.Text("zh-CN") == "" || !geoip.Far(place, db.Lookup(phone)) {
			b.Fatal(fmt.Sprint(place))
		}
	}
}
