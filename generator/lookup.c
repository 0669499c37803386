#include "config.h"
#include "generator/lookup.h"

#include <stdbool.h>
#include <string.h>

#define SUFFIX_MAX 8	/* tokens of a match; a longer one is no better */
#define GAIN 1.1	/* at least: the measured times are not that sure */
#define MEMORY 200	/* drafted tokens that the shares remember */

static const size_t sizes[LOOKUP_SIZES] = { 1, 2, 4, 8, 1 + LOOKUP_MAX };
/* Times of one token's, before they are known. */
static const double guess[LOOKUP_SIZES] = { 1, 1.4, 1.6, 2.1, 3.2 };
/* Shares of right tokens behind matches of 1, 2, 3-4, 5-7 and more tokens, before this model's
 * are known; README.md has their source. */
static const double share[LOOKUP_CLASSES] = { .45, .7, .8, .9, .97 };
#define WEIGHT 8	/* drafted tokens that they count for */
#define CREDIT .5	/* to begin with: two tokens' evaluation costs that */
#define CREDIT_MAX 4	/* a long quotation does not pay for what comes behind it */
#define CREDIT_SEEN .25	/* for a token that a draft would have had right */

void lookup_init(struct lookup *l)
{
	memset(l, 0, sizeof(*l));
	for (size_t i = 0; i < LOOKUP_CLASSES; i++) {
		l->right[i] = share[i] * WEIGHT;
		l->tried[i] = WEIGHT;
	}
	lookup_begin(l);
}

void lookup_begin(struct lookup *l)
{
	l->expected = -1;
	l->credit = CREDIT;
}

static void earn(struct lookup *l, double tokens)
{
	l->credit += tokens;
	if (l->credit > CREDIT_MAX)
		l->credit = CREDIT_MAX;
}

/* LOOKUP_SIZES for one that is not kept. */
static size_t size_of(size_t n)
{
	size_t i = 0;

	while (i < LOOKUP_SIZES && sizes[i] != n)
		i++;
	return i;
}

static size_t class_of(size_t match)
{
	return match < 3 ? match - 1 : match < 5 ? 2 : match < SUFFIX_MAX ? 3 : 4;
}

/* The end of the place where the longest suffix of id[0 .. n-1] stands, the
 * first of equal ones; *len: its tokens. */
static size_t find(size_t *len, const int32_t *id, size_t n)
{
	size_t at = 0;

	*len = 0;
	for (size_t i = 1; i < n && *len < SUFFIX_MAX; i++) {
		size_t k = 0;

		while (k < i && k < SUFFIX_MAX && id[i - 1 - k] == id[n - 1 - k])
			k++;
		if (k > *len) {
			*len = k;
			at = i;
		}
	}
	return at;
}

/* An evaluation's time, in times of one token's. */
static double cost(const struct lookup *l, size_t size)
{
	return l->seconds[size] > 0 ? l->seconds[size] / l->seconds[0] : guess[size];
}

/* Tokens for their cost, each right with probability p: 1 + p + p^2 + ... of an
 * evaluation.  The size that is best, 0 for no draft. */
static size_t best_size(const struct lookup *l, double p, size_t most)
{
	double best = GAIN, sum = 1, power = 1;
	size_t size = 0, at = 0;

	if (!(l->seconds[0] > 0))
		return 0;
	for (size_t n = 2; n <= most + 1 && n <= sizes[LOOKUP_SIZES - 1]; n++) {
		power *= p;
		sum += power;
		if (n != sizes[at + 1])
			continue;
		at++;
		if (cost(l, at) - 1 <= l->credit && sum / cost(l, at) > best) {
			best = sum / cost(l, at);
			size = at;
		}
	}
	return size;
}

size_t lookup_draft(int32_t out[LOOKUP_MAX], struct lookup *l, enum lookup_mode mode,
		    const int32_t *id, size_t n, size_t most)
{
	size_t len, at, size;

	if (mode == LOOKUP_OFF || !most || !n)
		return 0;
	if (l->expected == id[n - 1])
		earn(l, CREDIT_SEEN);
	l->expected = -1;
	at = find(&len, id, n);
	if (!len)
		return 0;
	l->class = class_of(len);
	if (mode == LOOKUP_ALWAYS) {
		size = most < LOOKUP_MAX ? most : LOOKUP_MAX;
	} else {
		size = best_size(l, l->right[l->class] / l->tried[l->class], most);
		size = sizes[size] - 1;
	}
	if (!size)
		l->expected = id[at];
	/* What goes on beyond the end repeats itself: the match has the same distance there. */
	for (size_t i = 0; i < size; i++)
		out[i] = at + i < n ? id[at + i] : out[at + i - n];
	return size;
}

void lookup_learn(struct lookup *l, size_t n, size_t right)
{
	double *r = &l->right[l->class], *t = &l->tried[l->class];
	size_t size = size_of(n + 1);

	if (size < LOOKUP_SIZES && l->seconds[0] > 0)
		earn(l, (double)right - (cost(l, size) - 1));
	*r += (double)right;
	*t += (double)right + (right < n);
	if (*t > MEMORY) {
		*r *= MEMORY / *t;
		*t = MEMORY;
	}
}

/* The least is what the machine can do; it drifts up slowly when it is not met any more. */
void lookup_time(struct lookup *l, size_t n, double seconds)
{
	size_t i = size_of(n);
	double *s = &l->seconds[i];

	if (i == LOOKUP_SIZES)
		return;
	if (!(*s > 0) || seconds < *s)
		*s = seconds;
	else
		*s += ((seconds < 2 * *s ? seconds : 2 * *s) - *s) * .1;
}
