package main_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"loginhub/hub/hubtest"
)

const certificateMetric = "loginhub_certificate_expiry_timestamp_seconds"

// scrapeOwnCertificate returns the metrics of a node with its own certificate. The certificate has
// an hour left and is replaced by one with another number. The node warns of both.
func scrapeOwnCertificate(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, 1)
	n := hubtest.LaunchNode(t, program, "TLS_CERT="+cert, "TLS_KEY="+key, "PUBLIC_URL=https://login.example.com", "REDIS_URL=embedded",
		"SANDBOX=true", "ADMIN_LISTEN=127.0.0.1:"+hubtest.FreePort(t))
	var text string
	hubtest.Eventually(t, 20*time.Second, "metrics", func() (ok bool) {
		var samples map[string]float64
		var err error
		const name = certificateMetric + `{certificate="public"}`
		if text, samples, err = n.Scrape(); err != nil || samples[name] == 0 {
			return false
		}
		left := time.Until(time.Unix(int64(samples[name]), 0))
		if left < 50*time.Minute || left > time.Hour {
			t.Errorf("the certificate ends in %v", left)
		}
		return true
	})
	const soon = "LOGINHUB_TLS_CERT: %s: the certificate \\\"localhost\\\" expires at "
	waitLog(t, n, 1, fmt.Sprintf(soon, cert))
	writeCertificate(t, cert, key, 2)
	waitLog(t, n, 1, `"files":["`+cert+`","`+key+`"]`)
	return text
}
