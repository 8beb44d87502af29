"""Named reasons to say no. The API's one error table turns each into a problem of RFC 9457."""

from typing import Any


class Refusal(Exception):
    """A rule said no; nothing was stored. `pointer` is a JSON pointer (RFC 6901) to the field at fault."""

    def __init__(self, message: str, *, pointer: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        self.details = details


class InvalidField(Refusal):
    """A field's value can't be taken as it is."""


class InvalidTerms(Refusal):
    """A terms document has mistakes; `errors` lists each with its path."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(f"the terms document has {len(errors)} mistakes", pointer="/terms")
        self.errors = errors


class NotFound(Refusal):
    """What was named does not exist, or not for this caller."""


class BadCosignature(Refusal):
    """The line is no signature of a known witness below that checkpoint."""


class UnknownProgram(NotFound):
    """No program has this id."""


class UnknownPartner(NotFound):
    """No partner has this id."""


class AlreadyExists(Refusal):
    """The name is taken by something with other content."""


class ContentConflict(Refusal):
    """The same id was recorded before with other content; nothing changed."""


class StatementTooLong(Refusal):
    """The statement has more lines than a file of that kind holds."""


class UnknownContentVersion(Refusal):
    """The statement was issued in a form that is not known here: by a newer release."""


class TypesetterBusy(Refusal):
    """Another PDF is being made, and one at a time is: it can be asked for again in a while."""


class WrongCurrency(Refusal):
    """The amount is in a currency other than the one that it must have."""


class RefundExceedsConversion(Refusal):
    """The refunds of a conversion would exceed its amount."""


class EffectiveTimeInFuture(Refusal):
    """A fact can't be true later than now (but for the clock skew allowed)."""


class DisputeNotOpen(Refusal):
    """A dispute can be won or lost only once, after it was opened."""


class PartnerNotApproved(Refusal):
    """The partner is not (or no longer) approved."""


class IllegalTransition(Refusal):
    """The thing is not in a state from which this step leads on."""


class PayoutUnderWay(IllegalTransition):
    """The payout's intent is recorded: it may be on its way, or has gone, and can't be canceled."""


class UnknownTermsVersion(Refusal):
    """The program has published no such version of its terms for this partner."""


class SameMakerAndChecker(Refusal):
    """Whoever drafted can't approve."""


class SecondCheckerNeeded(Refusal):
    """Whoever gave the first of two approvals can't give the second."""


class ContentChanged(Refusal):
    """What is to be approved is not what was looked at: the hash differs."""


class InsufficientBalance(Refusal):
    """The account holds less than is asked of it."""


class PaidAgain(Refusal):
    """The money that a rejected payout gave back went out with another payout since."""


class NothingToPay(Refusal):
    """No account is due a payout."""


class PayoutDestinationMissing(Refusal):
    """The partner has no account that money could be sent to."""


class UnknownTransfer(NotFound):
    """The payment provider has no transfer of this id."""


class TransferTaken(ContentConflict):
    """The transfer is another payout's."""


class TransferAmountDiffers(Refusal):
    """The transfer moved another amount than the payout's."""


class TransferCurrencyDiffers(Refusal):
    """The transfer is in another currency than the payout."""


class TransferDestinationDiffers(Refusal):
    """The transfer went to another account than the payout's."""


class TransferExists(Refusal):
    """The provider holds a transfer of the payout: nobody can say that there is none."""


class PayoutsAreFrozen(Refusal):
    """Somebody stopped all payouts."""


class DatabaseOlderThanProvider(Refusal):
    """The provider holds transfers of ours that the ledger does not know: it was restored from a backup."""


class BankFilesInDoubt(Refusal):
    """Files may have left for our bank that the ledger does not know: it was restored from a backup."""


class UnreadableStatement(Refusal):
    """A bank statement can't be read, or is none."""


class BankAccountNotConfigured(Refusal):
    """Nobody has said which bank account of ours partners are paid from."""


class ProviderUnavailable(Refusal):
    """The payment provider gave no answer, or none that could be used."""


class PeriodNotOver(Refusal):
    """A month can be closed only when it is over in its program's time zone."""


class EarlierPeriodOpen(Refusal):
    """Months are closed in order, and an earlier one is open."""


class ViewsBehind(Refusal):
    """The views or the engine have not come so far in the log: it can be tried again at once."""


class JournalDiffers(Refusal):
    """The journal is not what the facts post: nothing is frozen of it."""


class NothingToCorrect(Refusal):
    """The statement would say what it says."""


class LostRace(Refusal):
    """Somebody else changed the same thing at the same time, more often than we retry."""


class ProviderRefused(Refusal):
    """The payment provider said no, and would say it again."""
