#include "config.h"
#include "src/eval/page.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define WIDTH 820		/* of a plot, in its own units */
#define LEFT 170		/* for names */
#define RIGHT 120		/* for numbers */
#define BAR 11
#define N_COLOURS 8

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
	"<meta name=\"color-scheme\" content=\"light dark\">\n<style>\n"
	":root{--bg:#fbfbfa;--card:#fff;--fg:#1d2127;--dim:#69707a;--line:#e2e4e8;--good:#1f8a4c;--bad:#c8372d;"
	"--c0:#3b6fd4;--c1:#e08a1e;--c2:#2a9d8f;--c3:#9b4fb8;--c4:#c94f6d;--c5:#6b8e23;--c6:#5c6b7a;--c7:#b07d48}\n"
	"@media(prefers-color-scheme:dark){:root{--bg:#14171b;--card:#1c2026;--fg:#e6e8eb;--dim:#949ba6;"
	"--line:#30363e;--good:#4cc27e;--bad:#f0776c;--c0:#7aa5f5;--c1:#f2b05e;--c2:#5cc7b9;--c3:#c48bdb;--c4:#ec88a0;"
	"--c5:#a5c95c;--c6:#9aa8b5;--c7:#d9ad7c}}\n"
	"body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}\n"
	"main{max-width:60rem;margin:0 auto;padding:2rem 1.2rem 4rem}\n"
	"h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.15rem;margin:2.4rem 0 .2rem}\n"
	"p.note{color:var(--dim);margin:.1rem 0 .8rem;max-width:46rem}\n"
	".card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;overflow-x:auto;margin:.8rem 0}\n"
	".tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}\n"
	".tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.7rem 1rem;min-width:9rem}\n"
	".tile b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums}.tile small{color:var(--dim)}\n"
	"svg{display:block;width:100%;min-width:34rem;height:auto;font:12px system-ui,sans-serif}\n"
	"svg text{fill:var(--fg)}svg .d{fill:var(--dim)}svg .g{stroke:var(--line)}svg .w{stroke:var(--fg);stroke-width:1.2;opacity:.75}\n"
	"svg .z{stroke:var(--dim)}.up{color:var(--good);fill:var(--good);stroke:var(--good)}.down{color:var(--bad);fill:var(--bad);stroke:var(--bad)}"
	"svg text.up,svg text.down,svg text.same{stroke:none}.same{fill:var(--dim);stroke:var(--dim)}\n"
	".c0{fill:var(--c0)}.c1{fill:var(--c1)}.c2{fill:var(--c2)}.c3{fill:var(--c3)}.c4{fill:var(--c4)}.c5{fill:var(--c5)}.c6{fill:var(--c6)}.c7{fill:var(--c7)}\n"
	".key{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:0 0 .6rem}.key svg{width:12px;min-width:12px;height:12px;display:inline-block;margin-right:.35rem}\n"
	"table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}\n"
	"td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}\n"
	"td:first-child,th:first-child{text-align:left}th{color:var(--dim);font-weight:600}td.t{text-align:left;white-space:normal;min-width:16rem}\n"
	"summary{cursor:pointer;padding:.3rem 0}\n</style>\n<title>";

void page_add(struct page *p, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	if (p->rc)
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	p->rc = n < 0 ? RAG_EINVAL : buf_reserve(&p->b, (size_t)n);
	if (!p->rc) {
		vsnprintf(p->b.data + p->b.len, (size_t)n + 1, fmt, again);
		p->b.len += (size_t)n;
	}
	va_end(again);
	va_end(ap);
}

void page_text(struct page *p, const char *text)
{
	for (; *text && !p->rc; text++) {
		switch (*text) {
		case '<':
			p->rc = buf_adds(&p->b, "&lt;");
			break;
		case '>':
			p->rc = buf_adds(&p->b, "&gt;");
			break;
		case '&':
			p->rc = buf_adds(&p->b, "&amp;");
			break;
		case '"':
			p->rc = buf_adds(&p->b, "&quot;");
			break;
		default:
			p->rc = buf_addc(&p->b, *text);
		}
	}
}

void page_begin(struct page *p, const char *title, const char *note)
{
	page_add(p, "%s", head);
	page_text(p, title);
	page_add(p, "</title></head>\n<body><main>\n<h1>");
	page_text(p, title);
	page_add(p, "</h1>\n<p class=\"note\">");
	page_text(p, note);
	page_add(p, "</p>\n");
}

int page_end(struct page *p, FILE *f)
{
	page_add(p, "</main></body></html>\n");
	if (!p->rc && fwrite(buf_str(&p->b), 1, p->b.len, f) != p->b.len)
		p->rc = err_set(RAG_EIO, "cannot write the page");
	buf_release(&p->b);
	return p->rc;
}

void page_heading(struct page *p, const char *text, const char *note)
{
	page_add(p, "<h2>");
	page_text(p, text);
	page_add(p, "</h2>\n<p class=\"note\">");
	page_text(p, note);
	page_add(p, "</p>\n");
}

/* ---- plots ------------------------------------------------------------------------ */

struct scale {
	double low, high;
};

static double at(const struct scale *s, double v)
{
	double t = (v - s->low) / (s->high - s->low);

	return LEFT + (WIDTH - LEFT - RIGHT) * (t < 0 ? 0 : t > 1 ? 1 : t);
}

/* A step of 1, 2 or 5 times a power of ten, about four to the range. */
static double step_of(const struct scale *s)
{
	double raw = (s->high - s->low) / 4, p = pow(10, floor(log10(raw)));

	return raw / p < 1.5 ? p : raw / p < 3.5 ? 2 * p : raw / p < 7.5 ? 5 * p : 10 * p;
}

static void begin_plot(struct page *p, double height)
{
	page_add(p, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\">\n", WIDTH, height);
}

/* sign: differences, to two places. */
static void grid(struct page *p, const struct scale *s, double height, bool sign)
{
	double step = step_of(s);

	for (double v = ceil(s->low / step - 1e-9) * step; v <= s->high + step * 1e-9; v += step) {
		double x = at(s, v);

		page_add(p, "<line class=\"g\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.0f\"/>"
			 "<text class=\"d\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">", x, x, height - 18, x, height - 4);
		page_add(p, sign ? "%+.*f" : "%.*f", step < .1 ? 2 : 1, fabs(v) < step / 1e3 ? 0. : v);
		page_add(p, "</text>\n");
	}
}

static void name_at(struct page *p, double y, const char *name)
{
	page_add(p, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 10, y);
	page_text(p, name);
	page_add(p, "</text>\n");
}

static void whisker(struct page *p, const struct scale *s, double y, const struct stats *v, const char *class)
{
	double a = at(s, v->low), b = at(s, v->high);

	page_add(p, "<path class=\"%s\" fill=\"none\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv5M%.1f %.1fv5\"/>\n", class, a, y, b,
		 a, y - 2.5, b, y - 2.5);
}

static void key(struct page *p, const char *const *names, size_t n)
{
	if (n < 2)
		return;
	page_add(p, "<div class=\"key\">");
	for (size_t i = 0; i < n; i++) {
		page_add(p, "<span><svg viewBox=\"0 0 12 12\"><rect class=\"c%zu\" width=\"12\" height=\"12\" rx=\"3\"/></svg>",
			 i % N_COLOURS);
		page_text(p, names[i]);
		page_add(p, "</span>");
	}
	page_add(p, "</div>\n");
}

static void bar(struct page *p, const struct scale *s, double y, size_t colour, const struct stats *v,
		const char *group, const char *name)
{
	double end = at(s, v->mean), edge = at(s, v->high);

	page_add(p, "<g><title>");
	page_text(p, group);
	page_add(p, ", ");
	page_text(p, name);
	page_add(p, ": %.4f (%.4f to %.4f)</title><rect class=\"c%zu\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>",
		 v->mean, v->low, v->high, colour % N_COLOURS, LEFT, y, end - LEFT, BAR);
	whisker(p, s, y + BAR / 2.0, v, "w");
	page_add(p, "<text x=\"%.1f\" y=\"%.1f\">%.3f</text></g>\n", edge + 6, y + BAR - 1.0, v->mean);
}

void page_bars(struct page *p, const struct page_bars *o)
{
	struct scale s = { 0, 1 };
	double group = (double)o->n_bars * (BAR + 3) + 12, height = (double)o->n_groups * group + 24;

	page_add(p, "<div class=\"card\">\n");
	key(p, o->bars, o->n_bars);
	begin_plot(p, height);
	grid(p, &s, height, false);
	for (size_t g = 0; g < o->n_groups; g++) {
		double y = (double)g * group + 6;

		name_at(p, y + (group - 12) / 2 + 3, o->groups[g]);
		for (size_t i = 0; i < o->n_bars; i++)
			if (!o->counts || o->counts[g * o->n_bars + i])
				bar(p, &s, y + (double)i * (BAR + 3), i, &o->stats[g * o->n_bars + i], o->groups[g], o->bars[i]);
	}
	page_add(p, "</svg></div>\n");
}

void page_differences(struct page *p, const char *const *rows, const struct stats *stats, size_t n)
{
	double most = .01, height = (double)n * 22 + 24;
	struct scale s;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, fmax(fabs(stats[i].low), fabs(stats[i].high)));
	s = (struct scale){ -most, most };
	page_add(p, "<div class=\"card\">\n");
	begin_plot(p, height);
	grid(p, &s, height, true);
	page_add(p, "<line class=\"z\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%.0f\"/>\n", at(&s, 0), at(&s, 0), height - 18);
	for (size_t i = 0; i < n; i++) {
		const char *class = stats[i].low > 0 ? "up" : stats[i].high < 0 ? "down" : "same";
		double y = (double)i * 22 + 12;

		name_at(p, y + 4, rows[i]);
		whisker(p, &s, y, &stats[i], class);
		page_add(p, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/><text class=\"%s\" x=\"%d\" y=\"%.1f\">%+.4f"
			 "</text>\n", class, at(&s, stats[i].mean), y, class, WIDTH - RIGHT + 14, y + 4, stats[i].mean);
	}
	page_add(p, "</svg></div>\n");
}

static int falling(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

void page_sorted(struct page *p, double *values, size_t n)
{
	const double height = 90, middle = 45;
	double width = n ? (double)(WIDTH - LEFT) / (double)n : 0;

	qsort(values, n, sizeof(*values), falling);
	begin_plot(p, height);
	page_add(p, "<text class=\"d\" x=\"%d\" y=\"12\" text-anchor=\"end\">+1</text><text class=\"d\" x=\"%d\" y=\"%.0f\" "
		 "text-anchor=\"end\">-1</text>\n", LEFT - 10, LEFT - 10, height - 2);
	for (int sign = 1; sign >= -1; sign -= 2) {
		page_add(p, "<path class=\"%s\" stroke-width=\"%.2f\" d=\"", sign > 0 ? "up" : "down", fmax(width * .85, .6));
		for (size_t i = 0; i < n; i++)
			if (values[i] * sign > 0)
				page_add(p, "M%.1f %.0fV%.1f", LEFT + ((double)i + .5) * width, middle,
					 middle - values[i] * (middle - 2));
		page_add(p, "\"/>\n");
	}
	page_add(p, "<line class=\"z\" x1=\"%d\" x2=\"%d\" y1=\"%.0f\" y2=\"%.0f\"/></svg>\n", LEFT, WIDTH, middle, middle);
}

void page_steps(struct page *p, const char *const *rows, const double *from, const double *to, size_t n)
{
	double height = (double)n * 30 + 24;
	struct scale s = { 1, 0 };

	for (size_t i = 0; i < n; i++) {
		s.high = fmax(s.high, fmax(from[i], to[i]));
		s.low = fmin(s.low, to[i]);
	}
	s.low = fmax(0, floor((s.low - .03) * 20) / 20);	/* the steps are small against the whole */
	s.high = fmin(1, ceil((s.high + .005) * 50) / 50);
	page_add(p, "<div class=\"card\">\n");
	begin_plot(p, height);
	grid(p, &s, height, false);
	for (size_t i = 0; i < n; i++) {
		bool first = from[i] <= 0;
		double a = first ? LEFT : at(&s, fmin(from[i], to[i])), b = at(&s, fmax(from[i], to[i]));
		double y = (double)i * 30 + 6;
		const char *class = first ? "c6" : to[i] < from[i] ? "down" : "up";

		name_at(p, y + 13, rows[i]);
		page_add(p, "<rect class=\"%s\" stroke=\"none\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"18\" rx=\"2\"/>", class,
			 a, y, fmax(b - a, 1));
		if (i && i + 1 < n && !first)
			page_add(p, "<line class=\"z\" stroke-dasharray=\"2 3\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
				 at(&s, to[i]), at(&s, to[i]), y + 18, y + 30);
		page_add(p, "<text x=\"%.1f\" y=\"%.1f\">%.4f", b + 6, y + 13, to[i]);
		if (!first)
			page_add(p, " (%+.4f)", to[i] - from[i]);
		page_add(p, "</text>\n");
	}
	page_add(p, "</svg></div>\n");
}

void page_line(struct page *p, const double *x, const double *y, size_t n, double mark)
{
	const double height = 220;
	struct scale s = { x[0], x[n - 1] };
	double low = y[0], high = y[0];

	for (size_t i = 1; i < n; i++) {
		low = fmin(low, y[i]);
		high = fmax(high, y[i]);
	}
	high = high - low < .01 ? low + .01 : high;
	page_add(p, "<div class=\"card\">\n");
	begin_plot(p, height);
	grid(p, &s, height, false);
	for (int end = 0; end < 2; end++)
		page_add(p, "<text class=\"d\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%.3f</text>", LEFT - 10, end ? 18 : 188,
			 end ? high : low);
	page_add(p, "<path fill=\"none\" stroke=\"var(--c0)\" stroke-width=\"2\" d=\"");
	for (size_t i = 0; i < n; i++)
		page_add(p, "%c%.1f %.1f", i ? 'L' : 'M', at(&s, x[i]), 184 - 170 * (y[i] - low) / (high - low));
	page_add(p, "\"/>\n");
	for (size_t i = 0; i < n; i++)
		page_add(p, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%d\"><title>%.2f: %.4f</title></circle>\n",
			 x[i] == mark ? "c1" : "c0", at(&s, x[i]), 184 - 170 * (y[i] - low) / (high - low),
			 x[i] == mark ? 6 : 3, x[i], y[i]);
	page_add(p, "</svg></div>\n");
}
