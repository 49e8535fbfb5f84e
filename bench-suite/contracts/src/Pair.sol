// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Erc20} from "./Erc20.sol";

/// A constant-product market between two tokens. Whoever provides liquidity holds shares, which
/// are an ERC-20 token themselves; a trade pays 0.3 % into the pool.
///
/// Tokens are sent first, then the pair is called: it compares its balances with the reserves that
/// it remembers, and so sees what came in.
contract Pair is Erc20 {
    string public constant name = "Pleach Pool Share";
    string public constant symbol = "PLP";

    /// Shares that nobody can ever redeem, so that a pool is never empty again.
    uint256 public constant LOCKED_SHARES = 1000;

    address public token0;
    address public token1;

    // One slot: the reserves and the time of the last change.
    uint112 private reserve0;
    uint112 private reserve1;
    uint32 private lastChange;

    /// Sums of price times seconds, in 112.112 fixed point; they wrap.
    uint256 public price0Cumulative;
    uint256 public price1Cumulative;

    uint256 private entered = 1;

    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 in0,
        uint256 in1,
        uint256 out0,
        uint256 out1,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    error Reentered();
    error NothingOut();
    error NothingIn();
    error ReserveTooLow();
    error ReserveOverflow();
    error BadRecipient();
    error ProductFell();
    error TooFewShares();
    error TransferFailed(address token);

    modifier once() {
        if (entered != 1) revert Reentered();
        entered = 2;
        _;
        entered = 1;
    }

    constructor(address a, address b) {
        (token0, token1) = a < b ? (a, b) : (b, a);
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, lastChange);
    }

    /// Turns tokens that were sent here into shares.
    function mint(address to) external once returns (uint256 shares) {
        (uint112 old0, uint112 old1) = (reserve0, reserve1);
        uint256 balance0 = Erc20(token0).balanceOf(address(this));
        uint256 balance1 = Erc20(token1).balanceOf(address(this));
        uint256 in0 = balance0 - old0;
        uint256 in1 = balance1 - old1;
        uint256 supply = totalSupply;
        if (supply == 0) {
            shares = _sqrt(in0 * in1);
            if (shares <= LOCKED_SHARES) revert TooFewShares();
            shares -= LOCKED_SHARES;
            _create(address(0), LOCKED_SHARES);
        } else {
            uint256 by0 = (in0 * supply) / old0;
            uint256 by1 = (in1 * supply) / old1;
            shares = by0 < by1 ? by0 : by1;
        }
        if (shares == 0) revert TooFewShares();
        _create(to, shares);
        _remember(balance0, balance1, old0, old1);
        emit Mint(msg.sender, in0, in1);
    }

    /// Turns shares that were sent here back into tokens.
    function burn(address to) external once returns (uint256 out0, uint256 out1) {
        (uint112 old0, uint112 old1) = (reserve0, reserve1);
        uint256 shares = balanceOf[address(this)];
        uint256 supply = totalSupply;
        out0 = (shares * Erc20(token0).balanceOf(address(this))) / supply;
        out1 = (shares * Erc20(token1).balanceOf(address(this))) / supply;
        if (out0 == 0 || out1 == 0) revert NothingOut();
        _destroy(address(this), shares);
        _send(token0, to, out0);
        _send(token1, to, out1);
        uint256 balance0 = Erc20(token0).balanceOf(address(this));
        uint256 balance1 = Erc20(token1).balanceOf(address(this));
        _remember(balance0, balance1, old0, old1);
        emit Burn(msg.sender, out0, out1, to);
    }

    /// Sends out what is asked for, if enough of the other token has come in.
    function swap(uint256 out0, uint256 out1, address to) external once {
        if (out0 == 0 && out1 == 0) revert NothingOut();
        (uint112 old0, uint112 old1) = (reserve0, reserve1);
        if (out0 >= old0 || out1 >= old1) revert ReserveTooLow();
        (address first, address second) = (token0, token1);
        if (to == first || to == second) revert BadRecipient();
        if (out0 != 0) _send(first, to, out0);
        if (out1 != 0) _send(second, to, out1);
        uint256 balance0 = Erc20(first).balanceOf(address(this));
        uint256 balance1 = Erc20(second).balanceOf(address(this));
        uint256 in0 = balance0 > old0 - out0 ? balance0 - (old0 - out0) : 0;
        uint256 in1 = balance1 > old1 - out1 ? balance1 - (old1 - out1) : 0;
        if (in0 == 0 && in1 == 0) revert NothingIn();
        _checkProduct(balance0 * 1000 - in0 * 3, balance1 * 1000 - in1 * 3, old0, old1);
        _remember(balance0, balance1, old0, old1);
        emit Swap(msg.sender, in0, in1, out0, out1, to);
    }

    /// The product of the reserves, the fee taken off, may not fall.
    function _checkProduct(uint256 net0, uint256 net1, uint112 old0, uint112 old1) private pure {
        if (net0 * net1 < uint256(old0) * old1 * 1e6) revert ProductFell();
    }

    function _remember(uint256 balance0, uint256 balance1, uint112 old0, uint112 old1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert ReserveOverflow();
        uint32 time = uint32(block.timestamp);
        unchecked {
            uint32 elapsed = time - lastChange;
            if (elapsed != 0 && old0 != 0 && old1 != 0) {
                price0Cumulative += ((uint256(old1) << 112) / old0) * elapsed;
                price1Cumulative += ((uint256(old0) << 112) / old1) * elapsed;
            }
        }
        reserve0 = uint112(balance0);
        reserve1 = uint112(balance1);
        lastChange = time;
        emit Sync(uint112(balance0), uint112(balance1));
    }

    function _send(address token, address to, uint256 value) private {
        if (!Erc20(token).transfer(to, value)) revert TransferFailed(token);
    }

    /// The largest number whose square is not above x (Newton's method).
    function _sqrt(uint256 x) private pure returns (uint256 root) {
        if (x == 0) return 0;
        root = x;
        uint256 next = x / 2 + 1;
        while (next < root) {
            root = next;
            next = (x / next + next) / 2;
        }
    }
}
