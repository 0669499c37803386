#include "config.h"
#include "generator/sample.h"

#include <math.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct cand {
	float logit;
	int32_t id;
};

struct sampler {
	struct sample_opts o;
	size_t vocab;
	struct cand *cand;	/* (vocab) owned; NULL when greedy */
	double *weight;		/* (vocab) owned; ditto */
	uint64_t state, inc;	/* PCG32 */
};

/* PCG-XSH-RR 64/32: M. E. O'Neill, "PCG: A Family of Simple Fast
 * Space-Efficient Statistically Good Algorithms for Random Number Generation". */
static uint32_t pcg32(struct sampler *s)
{
	uint64_t old = s->state;
	uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27);
	unsigned rot = (unsigned)(old >> 59);

	s->state = old * UINT64_C(6364136223846793005) + s->inc;
	return x >> rot | x << (-rot & 31);
}

static void pcg32_seed(struct sampler *s, uint64_t seed)
{
	const uint64_t stream = 54;	/* any constant: one stream for all seeds */

	s->state = 0;
	s->inc = stream << 1 | 1;
	pcg32(s);
	s->state += seed;
	pcg32(s);
}

/* [0, 1), 53 bits. */
static double uniform(struct sampler *s)
{
	uint64_t hi = pcg32(s) >> 5, lo = pcg32(s) >> 6;

	return (double)(hi << 26 | lo) * 0x1p-53;
}

static int check(const struct sample_opts *o, size_t vocab)
{
	if (!(o->temperature >= 0 && o->temperature <= 100))
		return err_set(RAG_EINVAL, "temperature %g is not between 0 and 100", o->temperature);
	if (o->top_k < 0)
		return err_set(RAG_EINVAL, "top-k %d is negative", o->top_k);
	if (!(o->top_p >= 0 && o->top_p <= 1))
		return err_set(RAG_EINVAL, "top-p %g is not between 0 and 1", o->top_p);
	if (!(o->min_p >= 0 && o->min_p <= 1))
		return err_set(RAG_EINVAL, "min-p %g is not between 0 and 1", o->min_p);
	if (!vocab || vocab > INT32_MAX)
		return err_set(RAG_EINVAL, "a vocabulary of %zu tokens", vocab);
	return RAG_OK;
}

int sampler_new(struct sampler **out, const struct sample_opts *o, size_t vocab)
{
	struct sampler *s;
	int rc = check(o, vocab);

	if (rc)
		return rc;
	s = mem_calloc(1, sizeof(*s));
	if (!s)
		return RAG_ENOMEM;
	s->o = *o;
	s->vocab = vocab;
	pcg32_seed(s, o->seed);
	if (o->temperature > 0) {
		s->cand = mem_calloc(vocab, sizeof(*s->cand));
		s->weight = mem_calloc(vocab, sizeof(*s->weight));
		if (!s->cand || !s->weight) {
			sampler_free(s);
			return RAG_ENOMEM;
		}
	}
	*out = s;
	return RAG_OK;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	mem_free(s->cand);
	mem_free(s->weight);
	mem_free(s);
}

/* The first of the largest; NaN and -inf never win; -1 when there is nothing else. */
static int32_t greedy(const float *logits, size_t n)
{
	float best = -INFINITY;
	int32_t id = -1;

	for (size_t i = 0; i < n; i++)
		if (logits[i] > best) {
			best = logits[i];
			id = (int32_t)i;
		}
	return id;
}

static bool before(struct cand a, struct cand b)
{
	return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

static void sink(struct cand *h, size_t n, size_t i)
{
	struct cand c = h[i];

	for (size_t k; (k = 2 * i + 1) < n; i = k) {
		if (k + 1 < n && before(h[k + 1], h[k]))
			k++;
		if (!before(h[k], c))
			break;
		h[i] = h[k];
	}
	h[i] = c;
}


/*
 * Moves what top-k and top-p leave to the end of c, best last, and returns
 * their number.  A heap: only as many are sorted as are kept.
 */
static size_t cut(struct sampler *s, struct cand *c, size_t n, double max)
{
	size_t k = s->o.top_k && (size_t)s->o.top_k < n ? (size_t)s->o.top_k : n, kept = 0;
	double mass = 0, sum = 0;

	for (size_t i = n / 2; i-- > 0;)
		sink(c, n, i);
	if (k == n)
		for (size_t i = 0; i < n; i++)
			mass += exp(c[i].logit - max);
	while (kept < k) {
		struct cand top = c[0];

		c[0] = c[n - kept - 1];
		c[n - kept - 1] = top;
		kept++;
		sink(c, n - kept, 0);
		sum += exp(top.logit - max);
		if (k == n && s->o.top_p > 0 && sum >= s->o.top_p * mass)
			break;
	}
	if (k == n || !(s->o.top_p > 0))
		return kept;
	/* Both: top-p counts the mass that top-k has left. */
	mass = sum;
	sum = 0;
	for (size_t i = 0; i < kept; i++) {
		sum += exp(c[n - 1 - i].logit - max);
		if (sum >= s->o.top_p * mass)
			return i + 1;
	}
	return kept;
}

int32_t sampler_pick(struct sampler *s, const float *logits)
{
	int32_t best = greedy(logits, s->vocab);
	struct cand *c = s->cand;
	size_t n = 0;
	double max, floor, sum = 0, at;

	/* A logit of +inf leaves no probability to any other. */
	if (best < 0 || !c || isinf(logits[best]))
		return best;
	max = logits[best];
	for (size_t i = 0; i < s->vocab; i++)
		if (logits[i] > -INFINITY)
			c[n++] = (struct cand){ logits[i], (int32_t)i };
	if (s->o.top_k || s->o.top_p > 0) {
		size_t kept = cut(s, c, n, max);

		c += n - kept;
		n = kept;
	}
	floor = s->o.min_p > 0 ? max + log(s->o.min_p) : -INFINITY;
	for (size_t i = 0; i < n; i++) {
		s->weight[i] = c[i].logit >= floor ? exp((c[i].logit - max) / s->o.temperature) : 0;
		sum += s->weight[i];
	}
	at = uniform(s) * sum;
	best = -1;
	for (size_t i = 0; i < n; i++) {
		if (s->weight[i] <= 0)
			continue;
		best = c[i].id;		/* the last one takes what rounding leaves */
		at -= s->weight[i];
		if (at < 0)
			break;
	}
	return best;
}
