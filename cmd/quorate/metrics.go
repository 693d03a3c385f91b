package main

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/node"
	"github.com/quorate/quorate/pki"
)

// meters are all that a server publishes of itself at /metrics; docs/metrics.md lists them.
type meters struct {
	faces *api.Metrics
	ours  []prometheus.Collector
}

func newMeters(n *node.Node, keys *pki.Keys) *meters {
	m := &meters{faces: api.NewMetrics()}
	m.ours = []prometheus.Collector{n.Collector(), m.faces, buildInfo(), expiryCollector{keys}}
	return m
}

// handler answers a scrape.
func (m *meters) handler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.ours...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

func buildInfo() prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "quorate_build_info", Help: "Always 1, with the version of the program and of Go."}, []string{"version", "go"})
	g.WithLabelValues(buildVersion(), runtime.Version()).Set(1)
	return g
}

// expiryCollector reads the certificates in use: they change while the server runs.
type expiryCollector struct{ keys *pki.Keys }

var expiryDesc = prometheus.NewDesc("quorate_cert_expiry_timestamp_seconds",
	"When a certificate ends, in seconds since 1970: ca, the first of the authorities in use; node, this node's own. Nothing without TLS.", []string{"cert"}, nil)

// Describe names the one metric.
func (expiryCollector) Describe(into chan<- *prometheus.Desc) { into <- expiryDesc }

// Collect sends the ends of both certificates.
func (c expiryCollector) Collect(into chan<- prometheus.Metric) {
	if c.keys == nil {
		return
	}
	e := c.keys.Expiries()
	into <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(e.CA.Unix()), "ca")
	into <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(e.Own.Unix()), "node")
}
