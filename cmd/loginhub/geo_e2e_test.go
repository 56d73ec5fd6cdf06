package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"

	"loginhub/api/geoip/geoiptest"
	"loginhub/hub/hubtest"
)

const (
	placesMetric   = "loginhub_geoip_build_timestamp_seconds"
	placesReloaded = "loginhub_geoip_last_reload_successful"
)

// writePlaces writes a GeoIP database.
func writePlaces(t testing.TB, path string, built time.Time, places map[string]mmdbtype.Map) {
	t.Helper()
	if err := geoiptest.Write(path, built.Unix(), places); err != nil {
		t.Fatal(err)
	}
}

// TestGeo_Reload: the database is replaced without a restart; a broken file keeps the former one, and does not hold
// back the reload of other settings.
func TestGeo_Reload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, clients := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "clients.yaml")
	first := time.Now().Add(-time.Hour).Truncate(time.Second)
	writePlaces(t, path, first, geoiptest.Places())
	replaceFile(t, clients, "clients: [{id: a, origins: ['https://a.test']}]")
	n := startMetered(t, "GEOIP_FILE="+path, "CLIENTS="+clients, "TRUSTED_PROXIES=127.0.0.1/32")
	ctx, phone := loginContext(t), hubtest.NewPhone("ann")
	phone.Headers = []string{"X-Forwarded-For", "198.51.100.9", "Accept-Language", "zh-CN"}
	wants := func(place string, built time.Time, reloaded float64) {
		t.Helper()
		p, err := hubtest.CreateTicket(ctx, n.URL, nil, "X-Forwarded-For", "203.0.113.7")
		if err != nil {
			t.Fatal(err)
		}
		a, err := phone.Do(ctx, n.URL, p.ID, "scan", nil)
		if err != nil || !strings.Contains(string(a.Body), fmt.Sprintf(`"place":%q`, place)) || !strings.Contains(string(a.Body), `"far_away":true`) {
			t.Errorf("%v %s, want %s", err, a.Body, place)
		}
		if got := scrape(t, n); got[placesMetric] != float64(built.Unix()) || got[placesReloaded] != reloaded {
			t.Errorf("built %v, want %d; reloaded %v, want %v", got[placesMetric], built.Unix(), got[placesReloaded], reloaded)
		}
	}
	wants("中国 上海", first, 1)
	places := geoiptest.Places()
	places["203.0.113.0/25"] = geoiptest.City("FR", [2]string{"France", "法国"}, [2]string{"Lyon", "里昂"}, 45.75, 4.85, 20)
	second := first.Add(time.Minute)
	writePlaces(t, path, second, places)
	waitLog(t, n, 1, "the GeoIP database was read again")
	wants("法国 里昂", second, 1)
	if err := os.Truncate(path, 200); err != nil {
		t.Fatal(err)
	}
	waitLog(t, n, 1, "the GeoIP database cannot be read again")
	replaceFile(t, clients, "clients: [{id: b, origins: ['https://b.test']}]")
	sendSIGHUP(t, n)
	waitLog(t, n, 2, "the GeoIP database cannot be read again")
	waitLog(t, n, 1, reloadDone)
	wants("法国 里昂", second, 0)
	writePlaces(t, path, first, geoiptest.Places())
	sendSIGHUP(t, n)
	waitLog(t, n, 2, "the GeoIP database was read again")
	wants("中国 上海", first, 1)
}
