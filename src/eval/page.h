/*
 * page - an HTML page with plots, in one file that needs nothing else.
 *
 * Plots are inline SVG drawn with the page's colours, of which there is a light and
 * a dark set: the reader's system chooses.  Every number that is drawn stands
 * beside it or in its tooltip.  The first failure (memory) is kept and told at
 * the end.  One thread at a time.
 */
#ifndef RAG_EVAL_PAGE_H
#define RAG_EVAL_PAGE_H

#include "base/buf.h"
#include "src/eval/stats.h"

#include <stdio.h>

struct page {
	struct buf b;
	int rc;
};

/* title and note: text, escaped here.  PAGE_INIT before. */
#define PAGE_INIT { BUF_INIT, 0 }
void page_begin(struct page *p, const char *title, const char *note);
/* Ends the page and writes it; releases what p holds. */
int page_end(struct page *p, FILE *f);

void page_add(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void page_text(struct page *p, const char *text);	/* escaped */
void page_heading(struct page *p, const char *text, const char *note);

/* Bars of 0 .. 1 with intervals, a group of n_bars for each of n_groups.  stats:
 * (n_groups, n_bars); n 0 in counts (may be NULL): not drawn. */
struct page_bars {
	const char *const *groups, *const *bars;
	size_t n_groups, n_bars;
	const struct stats *stats;
	const size_t *counts;
};
void page_bars(struct page *p, const struct page_bars *o);

/* Differences with intervals around 0, a row each. */
void page_differences(struct page *p, const char *const *rows, const struct stats *stats, size_t n);
/* One bar a value, falling: where many small ones stand against few large ones.  Sorts them. */
void page_sorted(struct page *p, double *values, size_t n);
/* What each step adds: bars from `from` to `to`, (n). */
void page_steps(struct page *p, const char *const *rows, const double *from, const double *to, size_t n);
/* y over x, with a mark at one of them. */
void page_line(struct page *p, const double *x, const double *y, size_t n, double mark);

#endif
