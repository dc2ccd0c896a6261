"""The same decisions one route at a time, in plain Python: what the engine is compared with, and the naive way in
benchmarks.

Written from the contract's section 4 alone. Shares no code with the engine but the enumerations of its seam.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from copying.engine.model import Level, OrderKind, Outcome, Side
from copying.engine.reasons import Note, Reason

SLACK = 1e-9


@dataclass
class Verdict:
    """What became of the signal on one route."""

    reason: Reason
    outcome: Outcome
    level: Level = Level.NONE
    scaled: float = 0.0
    multiplied: float = 0.0
    limited: float = 0.0
    rounded: float = 0.0
    limit_value: float = math.nan
    symbol: str | None = None
    side: Side = Side.BUY
    kind: OrderKind = OrderKind.MARKET
    stop_loss: float | None = None
    take_profit: float | None = None
    delay: tuple[float, float] | None = None
    notes: int = 0


@dataclass
class Route:
    """One chain with its settings combined."""

    key: tuple
    chain: list[tuple[Level, dict]]
    settings: dict = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------------------- chains


def routes(strategy_id: str, configuration) -> list[Route]:
    """Every way from the strategy to a subscriber, found from the subscriber's end."""
    found = []
    for subscriber_id, subscriber in configuration.subscribers.items():
        for subscription in subscriber.get("subscriptions", []):
            target = subscription["strategyId"]
            for path, above in ways_down(strategy_id, target, configuration, ()):
                chain = [*above, (Level.SUBSCRIPTION, subscription), (Level.SUBSCRIBER, subscriber)]
                found.append(Route((subscriber_id, target, path), chain, combine(chain)))
    return found


def ways_down(leaf: str, target: str, configuration, inside: tuple):
    """(path from the leaf to the target, its (level, document) pairs) for every way through portfolios."""
    if target == leaf:
        yield (leaf,), [(Level.STRATEGY, configuration.strategies[leaf])]
        return
    portfolio = configuration.portfolios.get(target)
    if portfolio is None or target in inside or len(inside) >= 8:
        return
    count: dict[str, int] = {}
    for member in portfolio.get("members", []):
        child = member["strategyId"]
        count[child] = count.get(child, 0) + 1
        for path, above in ways_down(leaf, child, configuration, (*inside, target)):
            name = child if count[child] == 1 else f"{child}#{count[child]}"
            yield (*path[:-1], name, target), [*above, (Level.MEMBER, member), (Level.PORTFOLIO, portfolio)]


def product_below(chain, position: int) -> float:
    """The multipliers of the levels below a position of the chain."""
    return math.prod(document.get("multiplier", 1) for _, document in chain[position + 1 :])


def combine(chain) -> dict:
    """The rules of 4.1, setting by setting."""
    found: dict = {"multiplier": math.prod(document.get("multiplier", 1) for _, document in chain)}
    for name in ("maxTradeRisk", "maxLeverage", "reduceCorrelations", "signalDelay", "tradeSizeScaling"):
        for position, (level, document) in enumerate(chain):
            if document.get(name) is not None:
                found[name] = (level, document[name], position)
    limits = [
        (level, document["maxTradeVolume"] * product_below(chain, position))
        for position, (level, document) in enumerate(chain)
        if "maxTradeVolume" in document
    ]
    if limits:
        least = min(lots for _, lots in limits) * (1 + SLACK)
        found["maxTradeVolume"] = next(pair for pair in limits if pair[1] <= least)
    limits = [
        (level, document["minTradeVolume"] * product_below(chain, position))
        for position, (level, document) in enumerate(chain)
        if document.get("minTradeVolume")
    ]
    if limits:
        most = max(lots for _, lots in limits) * (1 - SLACK)
        found["minTradeVolume"] = next(pair for pair in limits if pair[1] >= most)
    pips = [document["maxStopLoss"]["value"] for _, document in chain if "maxStopLoss" in document]
    found["maxStopLoss"] = min(pips) if pips else None
    found["reverse"] = sum(bool(document.get("reverse")) for _, document in chain) % 2 == 1
    found["copyStopLoss"] = all(document.get("copyStopLoss", True) for _, document in chain)
    found["copyTakeProfit"] = all(document.get("copyTakeProfit", True) for _, document in chain)
    subscription, subscriber = chain[-2][1], chain[-1][1]
    if subscription.get("closeOnly"):
        found["closeOnly"] = (Level.SUBSCRIPTION, subscription["closeOnly"])
    elif subscriber.get("closeOnly"):
        found["closeOnly"] = (Level.SUBSCRIBER, subscriber["closeOnly"])
    scaling = found.get("tradeSizeScaling")
    below_scaling = 1.0 if scaling is None else product_below(chain, scaling[2])
    found["below scaling"] = below_scaling
    found["chain"] = chain
    found["subscriber"] = subscriber
    return found


# ------------------------------------------------------------------------------------------------------------ verdict


def decide_all(found: list[Route], signal, facts, rows) -> list[Verdict]:
    """The loop over subscribers. rows: account id -> row."""
    return [decide_one(route.settings, row, signal, facts, rows.get(route.key[0])) for row, route in enumerate(found)]


def refused(reason: Reason, level: Level, value: float = math.nan, **more) -> Verdict:
    failures = {
        Reason.NO_ACCOUNT,
        Reason.UNKNOWN_SYMBOL,
        Reason.NO_PRICE,
        Reason.NO_EXCHANGE_RATE,
        Reason.PROVIDER_WITHOUT_MONEY,
        Reason.EXPRESSION_FAILED,
        Reason.INVALID_PRICE,
        Reason.INVALID_STOPS,
        Reason.PRICES_OF_ANOTHER_SYMBOL,
        Reason.NO_PROVIDER_PRICE,
    }
    outcome = Outcome.FAILED if reason in failures else Outcome.SKIPPED
    return Verdict(reason, outcome, level, limit_value=value, **more)


def decide_one(settings: dict, route_row: int, signal, facts, account: int | None) -> Verdict:
    """Every rule of 4.6 for one route."""
    chain = settings["chain"]
    strategy = chain[0][1]
    if early := strategy_filters(strategy, signal, facts):
        return early
    if account is None:
        return refused(Reason.NO_ACCOUNT, Level.SUBSCRIBER)
    symbol = signal.symbol
    for level, document in chain:
        symbols = document.get("symbolFilter", {})
        if symbols.get("included") and symbol not in symbols["included"]:
            return refused(Reason.SYMBOL_FILTER, level)
        if symbol in symbols.get("excluded", []):
            return refused(Reason.SYMBOL_FILTER, level)
        for pair in document.get("symbolMapping", []):
            if pair["from"] == symbol:
                symbol = pair["to"]
                break
    kind = signal.kind
    if kind != OrderKind.MARKET:
        for level, document in chain:
            if document.get("skipPendingOrders"):
                return refused(Reason.PENDING_ORDERS_SKIPPED, level)
    side = signal.side
    stop, target = signal.stop_loss, signal.take_profit
    if settings["reverse"]:
        side = Side.SELL if side == Side.BUY else Side.BUY
        stop, target = target, stop
        kind = {OrderKind.LIMIT: OrderKind.STOP, OrderKind.STOP: OrderKind.LIMIT}.get(kind, kind)
    word = "buy" if side == Side.BUY else "sell"
    for level, document in chain:
        if word not in document.get("allowedSides", ["buy", "sell"]):
            return refused(Reason.SIDE_NOT_ALLOWED, level)
    if closed := closing(chain, settings, symbol, route_row, facts):
        return closed
    if facts.stopped is not None and facts.stopped[route_row]:
        return refused(Reason.STOPPED_OUT, Level(int(facts.stopped_level[route_row])))
    if news := news_refusal(chain, symbol, facts):
        return news
    verdict = sized(settings, signal, facts, account, route_row, symbol, side, kind, stop, target)
    verdict.symbol, verdict.side, verdict.kind = symbol, side, kind
    if verdict.outcome <= Outcome.RESIZED:
        lost = relation(signal.symbol, symbol, facts.market) == "another"
        verdict.take_profit = target if settings["copyTakeProfit"] and not lost else None
        if lost and target is not None and settings["copyTakeProfit"]:
            verdict.notes |= Note.NO_TAKE_PROFIT
        if "signalDelay" in settings:
            level, delay, _ = settings["signalDelay"]
            if max(delay["minInSeconds"], delay["maxInSeconds"]) > 0:
                verdict.outcome, verdict.reason, verdict.level = Outcome.DELAYED, Reason.DELAYED, level
                verdict.delay = (delay["minInSeconds"], delay["maxInSeconds"])
    return verdict


def strategy_filters(strategy: dict, signal, facts) -> Verdict | None:
    """magicFilter, equityCurveFilter, drawdownFilter."""
    magic = strategy.get("magicFilter", {})

    def listed(elements: list[str]) -> bool:
        for element in elements:
            low, _, high = element.partition("-")
            if int(low) <= signal.magic <= int(high or low):
                return True
        return False

    if (magic.get("included") and not listed(magic["included"])) or listed(magic.get("excluded", [])):
        return refused(Reason.MAGIC_FILTER, Level.STRATEGY, signal.magic)
    average = facts.provider_balance_average
    if "equityCurveFilter" in strategy and average is not None and facts.provider_equity <= average:
        return refused(Reason.EQUITY_CURVE_FILTER, Level.STRATEGY, average)
    drawdown = strategy.get("drawdownFilter")
    if drawdown and facts.provider_balance > 0:
        money = facts.provider_balance - facts.provider_equity
        pairs = []
        for name, value in (
            ("maxRelativeDrawdown", money / facts.provider_balance),
            ("maxDrawdown", money / facts.provider_balance),
            ("maxAbsoluteDrawdown", money),
        ):
            if name in drawdown and not (name == "maxDrawdown" and "maxRelativeDrawdown" in drawdown):
                pairs.append((value, drawdown[name]))
        if drawdown["action"] == "exclude":
            for value, level in pairs:
                if value >= level:
                    return refused(Reason.DRAWDOWN_FILTER, Level.STRATEGY, level)
        elif pairs and all(value <= level for value, level in pairs):
            return refused(Reason.DRAWDOWN_FILTER, Level.STRATEGY, pairs[0][1])
    return None


def closing(chain, settings, symbol, route_row, facts) -> Verdict | None:
    """Removal and close-only: what refuses every symbol first, then what refuses symbols that are not open."""
    soft = []
    hard = []
    for level, document in chain:
        if document.get("removed") or document.get("closeOnRemovalMode"):
            by_symbol = document.get("closeOnRemovalMode") == "close-gracefully-by-symbol"
            (soft if by_symbol else hard).append(refused(Reason.REMOVED, level))
    if hard:
        return hard[0]
    if "closeOnly" in settings:
        level, mode = settings["closeOnly"]
        if mode != "by-symbol":
            return refused(Reason.CLOSE_ONLY, level)
        soft.append(refused(Reason.CLOSE_ONLY, level))
    is_open = symbol in facts.open_symbols and facts.open_symbols[symbol][route_row]
    return soft[0] if soft and not is_open else None


def news_refusal(chain, symbol, facts) -> Verdict | None:
    """The first level with a filter that forbids opening now."""
    for level, document in chain:
        filters = document.get("newsFilter", {})
        for event in facts.news:
            if event.currency not in symbol:
                continue
            if event.is_breaking:
                rule, before = filters.get("breakingNewsFilter", {}), 0
            else:
                rule = filters.get("calendarNewsFilter", {})
                before = rule.get("openPositionPrecedingTimeGapInMinutes", 120)
            after = rule.get("openPositionFollowingTimeGapInMinutes", 60)
            minutes = (facts.now - event.time) / 60
            if event.priority in rule.get("priorities", []) and -before <= minutes < after:
                return refused(Reason.NEWS, level, before if minutes < 0 else after)
    return None


# ------------------------------------------------------------------------------------------------------------- prices


def relation(name: str, symbol: str, market) -> str:
    """What the subscriber's symbol is to the provider's: the same, another, or only explained by a mapping."""
    provider, own = market.instrument(name), market.instrument(symbol)
    if name == symbol:
        return "same"
    if provider is not None:
        pairs = [(each.base_currency, each.profit_currency) for each in (provider, own)]
        if any(base == profit for base, profit in pairs):
            return "same" if name in symbol or symbol in name else "another"
        return "same" if pairs[0] == pairs[1] else "another"
    if own.base_currency + own.profit_currency in name:
        return "same"
    return "another" if any(pair in name for pair in ("EURUSD", "USDJPY", "XAUUSD", "GBPUSD")) else "unknown"


def refused_prices(settings, signal, market, symbol, side, kind, stop, target, scaling) -> Verdict | None:
    """What MetaTrader calls an invalid price and invalid stops; and prices that are those of another symbol."""
    expression_reads = scaling["mode"] == "expression" and (
        "providerStopLoss" in scaling["expression"] or "providerTakeProfit" in scaling["expression"]
    )
    needs_stop = settings["copyStopLoss"] or scaling["mode"] == "fixedRisk" or expression_reads
    needs_stop = needs_stop or bool(settings.get("maxTradeRisk"))
    if relation(signal.symbol, symbol, market) == "another":
        has_level = not (signal.stop_loss is None and signal.take_profit is None)
        if kind != OrderKind.MARKET or (stop is not None and needs_stop) or (expression_reads and has_level):
            return refused(Reason.PRICES_OF_ANOTHER_SYMBOL, Level.BROKER)
        return None
    quote = market.quote(symbol)
    bid, ask = quote or (math.nan, math.nan)
    opening, closing = (ask, bid) if side == Side.BUY else (bid, ask)
    if kind != OrderKind.MARKET:
        wants_below = (side == Side.BUY) == (kind == OrderKind.LIMIT)
        if quote and (absurd(signal.price, opening) or not beyond(signal.price, opening, -1 if wants_below else 1)):
            return refused(Reason.INVALID_PRICE, Level.BROKER, opening)
        closing = signal.price
    for price, away, counts in (
        (stop, -side, needs_stop),
        (target, side, settings["copyTakeProfit"] or expression_reads),
    ):
        if counts and price is not None and (absurd(price, closing) or not beyond(price, closing, away)):
            return refused(Reason.INVALID_STOPS, Level.BROKER, closing)
    return None


def beyond(price: float, reference: float, away: int) -> bool:
    """Above (1) or below (-1) the reference, and not at it."""
    if math.isclose(price, reference, rel_tol=SLACK, abs_tol=0):
        return False
    return price > reference if away > 0 else price < reference


def absurd(price: float, reference: float) -> bool:
    """No price of this symbol: more than three times or less than a third of it."""
    return price > 3 * reference or price < reference / 3


# ------------------------------------------------------------------------------------------------------------- volume


def sized(settings, signal, facts, account, route_row, symbol, side, kind, stop, target) -> Verdict:
    """From the provider's volume to the final one."""
    market, base = facts.market, facts.base_currency
    instrument = market.instrument(symbol)
    if instrument is None:
        return refused(Reason.UNKNOWN_SYMBOL, Level.BROKER)
    price = signal.price
    if kind == OrderKind.MARKET:
        quote = market.quote(symbol)
        if quote is None:
            return refused(Reason.NO_PRICE, Level.BROKER)
        price = quote[1] if side == Side.BUY else quote[0]
    profit_rate = market.rate(instrument.profit_currency, base)
    if profit_rate is None:
        return refused(Reason.NO_EXCHANGE_RATE, Level.BROKER)
    accounts = facts.accounts
    rate = market.rate(accounts.currencies[accounts.currency[account]], base)
    if rate is None:
        return refused(Reason.NO_EXCHANGE_RATE, Level.SUBSCRIBER)
    least = min(accounts.balance[account], accounts.equity[account])
    if least <= 0:
        return refused(Reason.NO_MONEY, Level.SUBSCRIBER, least)
    balance, equity = accounts.balance[account] * rate, accounts.equity[account] * rate
    move = instrument.tick_value / instrument.tick_size * profit_rate  # money of one lot per 1.0 of price
    lot = price * move
    distance = abs(price - stop) if stop is not None and stop != price else None

    scaling_level, scaling, _ = settings.get("tradeSizeScaling", (Level.NONE, {"mode": "balance"}, 0))
    mode = scaling["mode"]
    if wrong := refused_prices(settings, signal, market, symbol, side, kind, stop, target, scaling):
        return wrong
    related = relation(signal.symbol, symbol, market)
    v = signal.volume_lots
    multiplier = settings["multiplier"]
    provider_lot = value_of_provider_lot(signal, market, base, side, lot)
    if mode in ("balance", "equity"):
        provider_money = facts.provider_balance_base if mode == "balance" else facts.provider_equity_base
        if provider_money <= 0:
            return refused(Reason.PROVIDER_WITHOUT_MONEY, Level.STRATEGY, provider_money)
        if related == "another" and not knows_provider_lot(signal, market, base, side):
            return refused(Reason.NO_PROVIDER_PRICE, Level.BROKER)
        scaled = v * provider_lot / provider_money * (balance if mode == "balance" else equity) / lot
    elif mode == "none":
        scaled = v
    elif mode == "contractSize":
        if related == "another" and market.instrument(signal.symbol) is None:
            return refused(Reason.NO_PROVIDER_PRICE, Level.BROKER)
        provider = market.instrument(signal.symbol) or instrument
        scaled = v * provider.contract_size / instrument.contract_size
    elif mode == "fixedVolume":
        scaled, multiplier = scaling["tradeVolume"], settings["below scaling"]
    elif mode == "fixedRisk":
        if distance is None:
            return refused(Reason.NO_STOP_LOSS, scaling_level)
        scaled, multiplier = scaling["riskFraction"] * balance / (distance * move), settings["below scaling"]
    else:
        provider = market.instrument(signal.symbol) or instrument
        variables = {
            "providerVolume": v,
            "providerTradeAmount": v * provider_lot,
            "multiplier": multiplier,
            "providerBalance": facts.provider_balance_base,
            "balance": balance,
            "quoteOrOpenPrice": price,
            "tickValue": move * instrument.tick_size,
            "tickSize": instrument.tick_size,
            "providerScaledVolume": v * provider.contract_size,
            "contractSize": instrument.contract_size,
            "providerStopLoss": math.nan if signal.stop_loss is None else signal.stop_loss,
            "providerTakeProfit": math.nan if signal.take_profit is None else signal.take_profit,
            "accountCurrencyExchangeRate": rate,
        }
        scaled, multiplier = expression(scaling["expression"], variables), 1.0
        if not math.isfinite(scaled) or scaled < 0:
            return refused(Reason.EXPRESSION_FAILED, scaling_level)
    multiplied = scaled * multiplier

    # limits, each with the reason it would give
    caps = []
    pip = 10 ** (1 - instrument.digits) if instrument.digits in (3, 5) else 10**-instrument.digits
    pips = settings["maxStopLoss"]
    points = math.inf if pips is None else max(math.floor(pips * pip * 10**instrument.digits + 1e-6), 1)
    widest = points / 10**instrument.digits
    risk = settings.get("maxTradeRisk")
    if risk:
        if distance is None and not settings["copyStopLoss"]:
            return refused(Reason.STOP_LOSS_NEEDED, risk[0], risk[1], scaled=scaled, multiplied=multiplied)
        if distance is not None:
            caps.append((risk[1] * balance / (min(distance, widest) * move), Reason.MAX_TRADE_RISK, risk[0], risk[1]))
    if "maxTradeVolume" in settings:
        level, lots = settings["maxTradeVolume"]
        caps.append((lots, Reason.MAX_TRADE_VOLUME, level, lots))
    if "reduceCorrelations" in settings:
        level, scope, _ = settings["reduceCorrelations"]
        present = same_sign_exposure(instrument, side, scope, facts, account, route_row)
        if present > 0:
            so_far = min([multiplied, *(cap[0] for cap in caps)])
            left = so_far - present
            caps.append((left if left > present * SLACK else 0.0, Reason.CORRELATION, level, present))
    if "maxLeverage" in settings and signal.kind == OrderKind.MARKET:
        level, ratio, _ = settings["maxLeverage"]
        free = ratio * equity - accounts.position_value[account] * rate
        caps.append((max(0.0, free / lot), Reason.MAX_LEVERAGE, level, ratio))
    caps.append((instrument.max_volume, Reason.BROKER_MAX_VOLUME, Level.BROKER, instrument.max_volume))
    cap, cap_reason, cap_level, cap_value = min(caps, key=lambda each: each[0])
    limited = min(multiplied, cap)
    is_cut = multiplied > cap * (1 + SLACK)

    # the broker's step
    verdict = Verdict(Reason.COPIED, Outcome.COPIED, Level.NONE, scaled, multiplied, limited)
    if is_cut:
        verdict.reason, verdict.outcome, verdict.level = cap_reason, Outcome.RESIZED, cap_level
        verdict.limit_value = cap_value

    def skip(reason, level, value):
        verdict.reason, verdict.outcome, verdict.level = reason, Outcome.SKIPPED, level
        verdict.limit_value = value
        return verdict

    coefficient = scaling.get("maxRiskCoefficient", 5)
    smallest, step = instrument.min_volume, instrument.volume_step
    if limited < (smallest - step / 2) * (1 - SLACK):
        if not scaling.get("forceTinyTrades"):
            if is_cut:
                return skip(cap_reason, cap_level, cap_value)
            return skip(Reason.TINY_TRADE, Level.BROKER, smallest)
        volume = smallest
        verdict.reason, verdict.outcome = Reason.TINY_TRADE_FORCED, Outcome.RESIZED
        verdict.level, verdict.limit_value = scaling_level, smallest
    else:
        volume = max(smallest, whole_steps(math.floor(limited / step + 0.5 + SLACK), step))
    upper = min(cap, multiplied * coefficient)
    if volume > upper * (1 + SLACK):
        volume = whole_steps(math.floor(upper / step + SLACK), step)
        by_coefficient = multiplied * coefficient < cap * (1 + SLACK)
        if volume < smallest * (1 - SLACK):
            if by_coefficient:
                return skip(Reason.MAX_RISK_COEFFICIENT, scaling_level, coefficient)
            return skip(cap_reason, cap_level, cap_value)
        if by_coefficient:
            verdict.reason, verdict.outcome = Reason.MAX_RISK_COEFFICIENT, Outcome.RESIZED
            verdict.level, verdict.limit_value = scaling_level, coefficient

    # too little or too much for the account
    subscriber = settings["subscriber"]
    reserved = subscriber.get("reservedMarginFraction", 0)
    if reserved > 0:
        free = (accounts.equity[account] - accounts.margin[account]) * rate * accounts.leverage[account]
        if free - volume * lot < balance * reserved * (1 - SLACK):
            return skip(Reason.RESERVED_MARGIN, Level.SUBSCRIBER, reserved)
    if "minTradeVolume" in settings:
        level, lots = settings["minTradeVolume"]
        if volume < lots * (1 - SLACK):
            return skip(Reason.MIN_TRADE_VOLUME, level, lots)
    amount = subscriber.get("minTradeAmount", 0)
    if amount > 0 and volume * lot / rate < amount * (1 - SLACK):
        return skip(Reason.MIN_TRADE_AMOUNT, Level.SUBSCRIBER, amount)

    if related == "unknown" and mode in ("balance", "equity", "contractSize"):
        verdict.notes |= Note.ASSUMED_LOT

    # stops
    if stop is not None and settings["copyStopLoss"]:
        verdict.stop_loss = stop
        if distance is not None and distance > widest * (1 + SLACK):
            verdict.stop_loss = towards_entry(price - side * widest, side, instrument.digits)
    if risk and distance is None and settings["copyStopLoss"]:
        points = min(risk[1] * balance / (volume * move), widest) * 10**instrument.digits
        points = math.floor(points * (1 + 1e-12))
        if points < 1:
            return skip(Reason.MAX_TRADE_RISK, risk[0], risk[1])
        placed = towards_entry(price - side * points / 10**instrument.digits, side, instrument.digits)
        verdict.stop_loss = placed if placed > 0 else None
    reference = signal.price
    if kind == OrderKind.MARKET:
        reference = market.quote(symbol)[0 if side == Side.BUY else 1]
    if verdict.stop_loss is not None and not beyond(verdict.stop_loss, reference, -side):
        skip(Reason.INVALID_STOPS, Level.BROKER, reference)
        verdict.outcome = Outcome.FAILED
        return verdict
    verdict.rounded = volume
    return verdict


def moved_stop(side, entry, stop, lots, move, balance, pips, risk, digits) -> float | None:
    """Where the stop of an open copy goes when the provider's is now at `stop`; None for none."""
    limits = []
    if pips is not None:
        pip_points = 10 if digits in (3, 5) else 1
        limits.append(max(1, math.floor(pips * pip_points + 1e-6)))
    if risk is not None:
        limits.append(math.floor(risk * balance / (lots * move) * 10**digits * (1 + 1e-12)))
    if stop is None and not limits:
        return None
    points = math.inf if stop is None else side * (entry - stop) * 10**digits
    if not limits or points <= min(limits) * (1 + SLACK):
        return stop
    placed = towards_entry(entry - side * min(limits) / 10**digits, side, digits)
    return placed if placed > 0 else None


def towards_entry(stop: float, side: int, digits: int) -> float:
    """A stop on the broker's grid that is not further from the entry: up for a buy, down for a sell."""
    up = math.ceil if side > 0 else math.floor
    return round(up(stop * 10**digits - side * 1e-7) / 10**digits, digits)


def whole_steps(count: int, step: float) -> float:
    """A number of steps in lots, without binary noise."""
    return round(count * step, 8)


def value_of_provider_lot(signal, market, base, side, own_lot: float) -> float:
    """One of the provider's lots in base currency; the subscriber's own where the provider's symbol says nothing.

    Market orders: at the present price of the route's side, so that equal specifications cancel.
    """
    provider = market.instrument(signal.symbol)
    rate = None if provider is None else market.rate(provider.profit_currency, base)
    if rate is None:
        return own_lot
    price = signal.price
    quote = market.quote(signal.symbol) if signal.kind == OrderKind.MARKET else None
    if quote is not None:
        price = quote[1] if side == Side.BUY else quote[0]
    return price * provider.tick_value / provider.tick_size * rate if price > 0 else own_lot


def knows_provider_lot(signal, market, base, side) -> bool:
    """Whether anybody knows what one of the provider's lots is worth."""
    return not math.isnan(value_of_provider_lot(signal, market, base, side, math.nan))


def same_sign_exposure(instrument, side, scope, facts, account, route_row) -> float:
    """The larger exposure, in the direction of the new trade, already open in one of its two assets."""
    base, profit = instrument.base_currency, instrument.profit_currency
    if base == profit or base + profit not in instrument.symbol:
        return 0.0
    row, book = (route_row, facts.strategy_exposure) if scope == "by-strategy" else (account, facts.account_exposure)
    legs = [side * book[base][row]] if base in book else []
    legs += [-side * book[profit][row]] if profit in book else []
    return max([0.0, *legs])


def expression(text: str, variables: dict) -> float:
    """A generated expression: its Python spelling is kept by the generator beside the math.js one."""
    try:
        variables = {name: float(value) for name, value in variables.items()}  # numpy's floats warn, Python's raise
        return float(eval(PYTHON_SPELLING[text], {"__builtins__": {}, **HELPERS}, variables))
    except (ZeroDivisionError, OverflowError, ValueError, TypeError):
        return math.nan


PYTHON_SPELLING: dict[str, str] = {}


def is_equal(a: float, b: float) -> bool:
    """Equality of math.js."""
    return a == b or math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-15)


def rounded(value: float, how) -> float:
    """floor or ceil of math.js: a whole number within its tolerance is taken for one."""
    return round(value) if is_equal(value, round(value)) else how(value)


HELPERS = {
    "min": min,
    "max": max,
    "abs": abs,
    "sqrt": math.sqrt,
    "is_equal": is_equal,
    "floor": lambda value: rounded(value, math.floor),
    "ceil": lambda value: rounded(value, math.ceil),
    "mod": lambda value, divisor: value % divisor if divisor else value,
}
